// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schedulerperf runs workloads with Dovetail's plugins in place of the in-tree
// plugins: the workloads of DRA and of PodGroups that upstream's scheduler_perf labels
// integration tests, and the small sizes of the workloads that bench/perf adds.
package schedulerperf
