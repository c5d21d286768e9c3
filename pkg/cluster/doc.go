// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster converts scheduler objects to planner input. NodeInfos and device counts
// become nodes of a plan.State; a pod becomes a plan.Need. No other package uses both sets
// of types.
//
// A Cache is updated incrementally: it skips a node whose NodeInfo generation and device
// revision did not change.
package cluster
