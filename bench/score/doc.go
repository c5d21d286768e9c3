// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package score sets what our plugins do for every node of a pod's cycle beside
// the Score of the stock NodeResourcesFit plugin, in the same run: the planner's
// score of a single pod, the Topology plugin around it, and the look at every node
// that its PreScore and each plan begin with. The other benchmarks of make
// bench-score need the insides of what they measure and stand beside it, in
// pkg/plugins and pkg/devices.
package score
