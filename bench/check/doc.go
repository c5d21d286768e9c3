// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command check compares the ratios that benchmarks left under .cache/bench with
// what they were when bench/ranges.yaml was written, and says what left its
// range.
//
//	go run ./bench/check
//	go run ./bench/check -record perf/ -command "make bench"
//
// The second form takes the figures found for the range from now on, with the
// commit at which they were measured. It refuses figures that nobody could measure
// again: those of a checkout with changes, those of a commit that is not on branch
// main, and speeds of fewer than three rounds.
//
// A figure is a number without a unit that two machines can share: see package
// bench/ratios, which also says how a benchmark leaves it. The mean of a speed is
// the ratio of the medians over its rounds, its spread that of the ratios of single
// rounds.
package main
