// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ratios writes the figures of benchmarks for make bench-check, as JSON under
// .cache/bench with their origin. A figure is a number without a unit that is comparable
// between machines: a ratio of two measurements of one run.
package ratios
