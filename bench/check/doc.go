// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command check compares the ratios that benchmarks left under .cache/bench with
// what they were when bench/ranges.yaml was written, and says what left its
// range.
//
//	go run ./bench/check
//	go run ./bench/check -record quality/ -command "make bench-quality"
//
// The second form takes the figures found for the range from now on.
//
// A figure is a number without a unit that two machines can share: a ratio of two
// measurements of one run. It comes from a file with a list of name, value, and,
// if it was measured several times, spread and runs; or from a comparison as
// bench/perf writes it.
package main
