// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package process starts the local cluster's programs and ends them, also when whoever started them is gone.
//
// What must hold:
//   - A process is known by pid, start time and boot, so a recycled pid is never signalled.
//   - Every process carries its cluster's directory in its environment. A process that was started but not yet written
//     down when its starter was killed is found by that mark.
//   - A process of a test dies with the test, however the test ends.
//
// It reads /proc and uses pidfds, so it works on Linux only.
package process
