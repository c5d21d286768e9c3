// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package placement finds nodes for a gang. Its input is a gangs.Request and the
// scheduler's snapshot of nodes; its output is a node for each member, or the sentence
// that gives the reason why there is none.
//
// A request takes four steps:
//
//  1. The builder writes the gang in the planner's terms: its topology wishes, its
//     roles, and what resource claims that several members share demand of a plan.
//  2. The planner runs on a snapshot of the cluster.
//  3. The dry runs run the profile's stock filters on each node that the planner
//     is about to use. The plan that results has passed every one of them.
//  4. A plan that takes nodes reserved for another gang is made anew without those.
//
// The package keeps no state but the profile's cache. It depends neither on the state of
// gangs nor on the plugins: everything that limits a plan arrives in the request.
package placement
