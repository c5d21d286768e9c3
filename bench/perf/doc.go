// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package perf runs upstream's scheduler_perf workloads with a scheduler of
// choice: stock, as upstream runs them, Dovetail, or the oracle, which is the
// ceiling (see its package). Workloads of our own are in the directory workloads.
//
// Upstream's configurations and templates are read from the module's directory
// at run time. A workload runs in a process of its own, from upstream's
// directory, against an etcd and an API server that end with it; so feature
// gates, metrics and the registry of plugins start afresh each time. The process
// is the calling binary once more: main of a command calls Serve first. TestMain of
// a test binary calls Main, and one of its benchmarks is
//
//	func BenchmarkWorkload(b *testing.B) { perf.Workload(b) }
//
// What differs from upstream's own run of a workload is the list of plugins, which
// of the scheduler's metrics are written down, and that thresholds are left out:
// those are pods per second on upstream's machines.
package perf
