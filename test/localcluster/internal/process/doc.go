// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package process starts the local cluster's programs and ends them, even if the program that
// started them has ended.
//
// Guarantees:
//   - A process is identified by pid, start time and boot, so a recycled pid never gets a signal.
//   - Every process has its cluster's directory in its environment. This mark finds processes
//     that are in no record because the program that started them was killed.
//   - A process of a test dies with the test, however the test ends.
//
// It reads /proc and uses pidfds, so it works on Linux only.
package process
