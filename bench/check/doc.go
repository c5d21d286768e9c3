// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command check compares the ratios that benchmarks wrote under .cache/bench with the
// ranges in bench/ranges.yaml, and prints each ratio outside its range.
//
//	go run ./bench/check
//	go run ./bench/check -record perf/ -command "make bench"
//
// The second form records the figures as the new ranges, with the commit at which they were
// measured. It rejects figures that are not reproducible: figures of a checkout with changes,
// figures of a commit that is not on branch main, and speeds (figures whose names begin with
// perf/) of fewer than three rounds.
//
// A figure is a number without a unit that is comparable between machines. Package bench/ratios
// defines the file format. The mean of a speed is the ratio of the medians of its rounds. Its
// spread is the standard deviation of the ratios of single rounds.
package main
