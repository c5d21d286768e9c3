// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command cmd runs a workload with stock scheduling, with Dovetail and with the
// oracle, and says how they compare: go run ./bench/perf/cmd run|short|table|list.
package main
