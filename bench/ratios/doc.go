// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ratios is how a benchmark leaves figures for make bench-check: as JSON under .cache/bench, with what was
// measured and where from. A figure is a number without a unit that two machines can share: a ratio of two measurements
// of one run.
package ratios
