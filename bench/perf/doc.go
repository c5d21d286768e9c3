// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package perf runs upstream's scheduler_perf workloads with stock scheduling, Dovetail or the
// oracle, a scheduler that chooses nodes without a search (package oracle). The oracle's
// throughput is an upper bound. Dovetail's own workloads are in the directory workloads.
//
// Upstream's configurations and templates are read from the module's directory at run time.
// Each workload runs in its own process, from upstream's directory, with its own etcd and API
// server, so feature gates, metrics and the plugin registry are fresh each time. The process
// runs the calling binary again, and must find out that it is to run a workload: main of a
// command calls Serve first. In a test binary, TestMain calls Main, and one of the benchmarks
// is
//
//	func BenchmarkWorkload(b *testing.B) { perf.Workload(b) }
//
// A run differs from upstream's own run of a workload in the list of plugins, the recorded
// metrics, and the thresholds. Thresholds are omitted because they are pods per second on
// upstream's machines.
package perf
