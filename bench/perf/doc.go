// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package perf runs upstream's scheduler_perf workloads with stock scheduling,
// Dovetail or the oracle. The oracle is the ceiling (see its package). Workloads of our own are in the directory workloads.
//
// Upstream's configurations and templates are read from the module's directory
// at run time. A workload runs in a process of its own, from upstream's
// directory, with its own etcd and API server, so feature gates, metrics and the
// plugin registry are fresh each time. The process runs the calling binary again:
// main of a command calls Serve first. TestMain of
// a test binary calls Main, and one of its benchmarks is
//
//	func BenchmarkWorkload(b *testing.B) { perf.Workload(b) }
//
// Three things differ from upstream's own run of a workload: the list of plugins,
// the recorded metrics, and the thresholds. Thresholds are left out because they
// are pods per second on upstream's machines.
package perf
