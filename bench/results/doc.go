// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command results writes bench/RESULTS.md, the tables of measured results, from
// results.yaml in the same directory.
//
// Each row keeps the commit and the command of its own run. A test compares the speed rows
// with bench/ranges.yaml, which go run ./bench/check -record writes. After a workload is
// recorded again, its row must be updated here as well. Another test compares the rows in
// README.md with the first table of RESULTS.md.
//
// The figures are strings, so the page keeps the digits that were reported.
package main

//go:generate go run . -data results.yaml -out ../RESULTS.md
