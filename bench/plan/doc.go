// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan holds the benchmarks of pkg/plan, the planner that chooses the nodes of a gang.
// Run them with
//
//	go test -bench . ./bench/plan
//
// Every benchmark asserts its outcome before the timing starts, and its name contains its
// parameters. README.md documents each figure.
package plan
