// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package score compares the work that Dovetail's plugins do for every node in a pod's cycle
// with the Score of the stock NodeResourcesFit plugin, in the same run. It measures the score
// that pkg/plan gives a node for a single pod, the Topology plugin that calls this function,
// and the check of every node for changes, which is the first step of PreScore and of each
// plan. The other benchmarks of make bench-score need unexported code and are in pkg/plugins
// and pkg/devices.
package score
