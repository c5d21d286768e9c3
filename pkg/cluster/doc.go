// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster converts scheduler objects to input for the planner, package plan, which
// chooses nodes for gangs of pods. NodeInfos and device counts become nodes of a plan.State
// (free resources and devices of all nodes); a pod becomes a plan.Need (the resources and
// devices that it takes).
//
// The type Cache, which keeps a plan.State, is updated incrementally: it skips a node whose
// NodeInfo generation and device revision did not change.
package cluster
