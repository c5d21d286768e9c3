// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster turns the view of the scheduler into what the planner plans
// with: NodeInfos and device counts become nodes of a plan.State, a pod becomes
// a plan.Need. It is the only package that speaks both languages.
//
// A Cache is kept up to date incrementally: a node whose NodeInfo generation
// and device revision stayed the same is not looked at again.
package cluster
