// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build race

package draaware_test

// raceDetector reports whether the test was built with the race detector.
const raceDetector = true
