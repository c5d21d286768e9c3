// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command cmd runs a workload with stock scheduling, Dovetail and the oracle, and
// compares them: go run ./bench/perf/cmd run|short|table|list.
package main
