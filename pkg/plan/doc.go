// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan finds a node for every member of a gang at once, or says why
// there is none. It is a pure function of frozen input: no clock, no
// randomness, no logging, standard library only.
//
// # Words
//
// A State holds the fabric and what is free in it; Freeze gives a Snapshot on
// which any number of plans may run at once. Nodes of equal shape and equal free
// state form a class and are counted once. The slots of a role on a node are how
// many of its members fit there by counts, nothing else being on it; a rollup
// sums them up the tree and survives from plan to plan. The leading role is the
// one with the fewest slots in the whole fabric, then most devices, then name.
//
// A domain is a vertex of the fabric. A node that lacks a level counts as a
// domain of its own when domains are counted, but belongs to none when a level
// is required or preferred; where a finer level is named below a missing one,
// the finer domain stands in.
//
// # What a placement must keep
//
//  1. A node's free resources, and its free devices: each device need of each
//     member is met by devices of its kinds, no device serving two. By Hall's
//     theorem these are linear limits, too.
//  2. Role.Limit, and what Fits refuses. Fits is monotone: who refuses the n-th
//     member of a role on a node refuses the n+1st.
//  3. A required level: one domain of it holds all members of the gang, group,
//     role or slice that asks, bound ones included. Bound members that
//     contradict it stop those still to be placed, nobody else.
//  4. The finest boundary level: one domain of it holds all members of the roles
//     that ask for RDMA.
//  5. Slice.Spread: a slice is in one domain of that level and shares it with no
//     other slice of the role.
//  6. Need.Aligned: every follower stands beside an anchor (see unpaired below).
//  7. A quorum: Gang.Min members, each role's Min, and the fewest groups, each
//     with its own minimums. A group that is not complete places nobody. A scope
//     that states no minimum, nor its direct roles, asks for all of them. Slices
//     are rounded up to whole ones.
//
// # Cost
//
// Of two placements of a quorum the one with the smaller cost is better. A cost
// is a vector; the first term that differs decides:
//
//  1. wishes: the gang, groups, roles and slices whose preferred level is not
//     kept, that is, whose members are not all in one domain of it.
//  2. domains: for boundary levels from the top down, then for the other levels
//     from the top down, the domains used beyond the first.
//  3. unpaired: followers (every device need after a role's first) that cannot
//     stand in a unit with anchors (the first need). On one node, k members with
//     a anchors and f followers each leave max(0, k*f-P) unpaired, where P is the
//     most followers that fit beside k*a anchors when each anchor takes up to
//     ceil(f/a) from its unit. Each role is counted by itself.
//  4. nodes: the nodes used.
//  5. room: the leading role's slots in what is used: the less room it had, the
//     less is left behind and the more others stay whole. Where one node holds
//     everybody, it comes first, and then the domains from the finest level up to
//     the coarsest; otherwise the domains come first, and then the nodes.
//
// Bound members count as using their nodes and domains. Everybody is placed as
// one when terms 1 and 2 are then no worse than the cheapest quorum's; otherwise
// the cheapest quorum is placed and the rest joins as near to it as there is
// room, without being part of the cost.
//
// # What holds
//
//	P1  The same snapshot, gang and answers of Fits give the same Decision,
//	    whatever the order of nodes, roles, groups and members in the input.
//	P2  A placement keeps all rules above.
//	P3  "No" without Exhausted means that there is none; "yes" with
//	    Stats.Proven that there is no cheaper one.
//	P4  Plans change nothing that another plan sees. Rollups kept between plans
//	    change the work, never the answer.
//	P5  Taking back what a search did restores its board exactly.
//	P6  Fits is asked only about nodes about to be used, once for the last member
//	    of a role on a node, and never twice the same.
//	P7  Members of a role take their nodes in fabric order, by Rank, then by name
//	    with numbers read as numbers; slices in the order of their first node.
//
// # How
//
// Plan is five steps (plan.go): check and compile the request (request.go,
// problem.go, scope.go, batch.go, quota.go); search (search.go); explain a "no"
// (explain.go); add the members beyond the quorum (extras.go); hand nodes to
// members (assign.go, rails.go). The search takes nodes that may hold
// everybody, then candidate domains from the smallest level upward, each in the
// order of a lower bound of their cost (candidates.go). In each it constructs a placement, greedily but for the choice
// of domains, which it comes back to (construct.go, fill.go, slicefill.go,
// compact.go), and it stops when no candidate left can be cheaper. Where
// constructing fails or leaves a doubt, an exact search (exact.go) decides,
// within the step budget. Both work on a board (board.go).
package plan
