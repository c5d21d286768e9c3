// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package placement finds nodes for a gang. Its input is a gangs.Request and the scheduler's
// snapshot of nodes. Its output is a node for each member, or a sentence that explains why
// there is no placement.
//
// A request takes four steps:
//
//  1. The builder converts the gang to the planner's input: its topology constraints, its
//     roles, and the demands of resource claims that several members share.
//  2. The planner runs on a snapshot of the cluster.
//  3. The dry runs run the profile's stock filters on each node that the planner is about to
//     use. The resulting plan has passed all of them.
//  4. If a plan uses nodes reserved for another gang, the planner runs again without those
//     nodes.
//
// The only state of the package is the profile's cache. It depends neither on the state of
// gangs nor on the plugins: the request contains all limits on a plan.
package placement
