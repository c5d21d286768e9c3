// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan finds a node for every member of a gang at once, or explains why
// there is no placement. It is a pure function of frozen input: no clock, no
// randomness, no logging, standard library only.
//
// # Words
//
// A State holds the fabric and what is free in it. Freeze returns a Snapshot, on
// which any number of plans may run at once. Nodes of equal shape and equal free
// state form a class and are counted once. The slots of a role on a node are the
// number of its members that fit there by counts if the node holds no others. A
// rollup sums slots up the tree and is kept from plan to plan. The leading role is
// the role with the fewest slots in the whole fabric, then most devices, then name.
//
// A domain is a vertex of the fabric. A node that lacks a level counts as a
// domain of its own when domains are counted, but belongs to none when a level
// is required or preferred. If it has a finer level than the missing one, the
// finer domain stands in for it.
//
// # What a placement must keep
//
//  1. A node's free resources, and its free devices: each device need of each
//     member is met by devices of its kinds, and no device serves two needs. By
//     Hall's theorem these are linear limits, too.
//  2. Role.Limit, and what Fits refuses. Fits is monotone: if it refuses the n-th
//     member of a role on a node, it refuses the n+1st.
//  3. A required level: one domain of it holds all members of the gang, group,
//     role or slice that requires it, bound members included. If bound members
//     contradict it, no pending member of that set can be placed. Other members
//     are not affected.
//  4. The finest boundary level: one domain of it holds all members of the roles
//     that ask for RDMA.
//  5. Slice.Spread: a slice is in one domain of that level and shares it with no
//     other slice of the role.
//  6. Need.Aligned: every follower is beside an anchor (see unpaired below).
//  7. Role.Nodes and Need.PerNode: the nodes that pending members of a role may use, and
//     how many of them one node takes.
//  8. AntiAffinity: no domain of the rule's level holds a member of a role in Roles and
//     another member of a role in Others, bound members included.
//  9. A quorum: Gang.Min members, each role's Min, and the fewest groups, each
//     with its own minimums. A group that is not complete places no member. A scope
//     that states no minimum, nor its direct roles, needs all of them. Slices
//     are rounded up to whole slices.
//
// # Cost
//
// Of two placements of a quorum the one with the smaller cost is better. A cost
// is a vector. The first term that differs decides:
//
//  1. wishes: the gang, groups, roles and slices whose preferred level is not
//     kept, that is, whose members are not all in one domain of it.
//  2. domains: for boundary levels from the top down, then for the other levels
//     from the top down, the domains used beyond the first.
//  3. unpaired: followers (every device need after a role's first) that do not fit
//     in a unit with anchors (the first need). On one node, k members with
//     a anchors and f followers each leave max(0, k*f-P) unpaired, where P is the
//     most followers that fit beside k*a anchors if each anchor takes up to
//     ceil(f/a) from its unit. Each role is counted by itself.
//  4. nodes: the nodes used.
//  5. room: the leading role's slots in what is used. The less room it had, the
//     less is left behind and the more other nodes and domains stay whole. If one
//     node holds all members, its room comes first, and then that of the domains from
//     the finest level up to the coarsest. Otherwise the domains come first, and then
//     the nodes.
//
// Bound members count as using their nodes and domains. All members are placed
// together if terms 1 and 2 are then no worse than the cheapest quorum's. Otherwise
// the cheapest quorum is placed. The other members are added as near to it as there is
// room, without being part of the cost.
//
// # What holds
//
//	P1  The same snapshot, gang and answers of Fits give the same Decision,
//	    whatever the order of nodes, roles, groups and members in the input.
//	P2  A placement keeps all rules above.
//	P3  "No" without Exhausted means that there is no placement; "yes" with
//	    Stats.Proven that there is no cheaper one.
//	P4  Plans change nothing that another plan reads. Rollups kept between plans
//	    change the work, never the answer.
//	P5  Undoing what a search did restores its partial placement exactly.
//	P6  Fits is called only for nodes about to be used, for the last member of a
//	    role on a node, and never twice with the same arguments.
//	P7  Members of a role take their nodes in fabric order, by Rank, then by name
//	    with numbers compared as numbers; slices in the order of their first node.
//
// # How
//
// Plan has five steps: check and compile the request; search; explain a "no"; add
// the members beyond the quorum; assign nodes to members.
//
// The search tries nodes that may hold all members, then candidate domains from the
// smallest level upward, each in the order of a lower bound of their cost. In each
// candidate it constructs a placement greedily; it backtracks only over the choice of
// domains. It stops when no candidate left can be cheaper. Where constructing fails, or
// its result is not proven to be the cheapest, an exact search decides within the step
// budget. Both work on a partial placement.
//
// # Files, from the bottom up
//
// A file uses only its own line and the lines above it.
//
//   - Tools: names.go (natural order), pages.go, heap.go, picker.go.
//   - Input and output: layout.go, gang.go, request.go, decision.go, why.go.
//   - One node: class.go; need.go, pairing.go, shape.go (a need compiled for counting).
//   - The cluster: fabric.go (the tree), nodeclasses.go (a class for each node),
//     rollup.go and resourcesums.go (counts summed up the tree), epoch.go (the counts
//     kept between plans), costterms.go, state.go (State and Snapshot), score.go.
//   - The request compiled: problem.go; allowed.go, apart.go, scope.go,
//     quorumchoice.go, batch.go; compile.go.
//   - A partial placement: rails.go, partial.go; filters.go (calls of Fits), cost.go,
//     fingerprint.go, basedomain.go.
//   - Filling a domain: fill.go, slicefill.go, compact.go, construct.go, exact.go.
//   - The search: bounds.go, candidates.go, search.go (one quorum), choose.go (all).
//   - The decision: extras.go, assign.go, explain.go, plan.go.
package plan
