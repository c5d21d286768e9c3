// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package placement finds nodes for a gang (pods that are placed together, its members). Its
// input is a gangs.Request (the gang and the limits on its plan) and the scheduler's snapshot
// of nodes. Its output is a node for each member, or a sentence that explains why there is no
// placement.
//
// A request takes four steps:
//
//  1. The builder converts the gang to the input of the planner (package plan): the gang's
//     topology constraints, its roles (sets of members with equal demands), and the demands
//     of resource claims that several members share.
//  2. The planner chooses nodes in a snapshot of the cluster.
//  3. The dry runs run the stock Filter plugins of the scheduler profile on each node that
//     the planner is about to use, with the members of the role that the plan has put there.
//     If a plan uses nodes reserved for another gang, the planner runs again without those
//     nodes.
//  4. If filters may refuse a member because of any other member, the proof runs them with
//     all members of the plan placed. A refusal becomes a conflict, a combination of members
//     and nodes that the planner must not use. The planner then runs again, until a refusal
//     gives no new conflict or the search budget (a number of steps) ends.
//
// The only state of the package is the cache of nodes that belongs to the profile. The
// package depends neither on the state of gangs nor on the plugins: the request contains all
// limits on a plan.
package placement
