// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schedulerperf runs the workloads of DRA and of PodGroups that upstream's
// scheduler_perf calls integration tests with Dovetail's plugins in place of the
// in-tree ones, and the small sizes of those that bench/perf adds.
package schedulerperf
