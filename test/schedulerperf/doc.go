// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schedulerperf runs workloads with Dovetail's plugins in place of the in-tree plugins:
// the workloads of DRA and of PodGroups that scheduler_perf, the scheduler benchmark of
// Kubernetes, labels integration tests, and the small sizes of Dovetail's own workloads in
// bench/perf.
package schedulerperf
