// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schedulerperf runs the DRA workloads that upstream's scheduler_perf
// calls integration tests with Dovetail's plugins in place of the in-tree one.
package schedulerperf
