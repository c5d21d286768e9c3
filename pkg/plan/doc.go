// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan finds a node for every member of a gang at once, or explains why there is no
// placement. The answer depends only on frozen input. The package uses no clock, no
// randomness, no logging, and only the standard library.
//
// # Words
//
// A gang is a set of pods, its members, that start together. A role is a set of members
// with equal needs. A group is a gang inside a gang. A bound member has a node already, a
// pending member has none.
//
// The fabric is the tree of topology domains and nodes. A State holds the fabric and the
// free resources of the nodes. Freeze returns a Snapshot. Any number of plans may use a
// Snapshot at once. A fork is a State that begins as a Snapshot. It copies only what it
// changes, and shares the rest. Nodes with equal free resources, and equal free devices in
// each unit, form a class and are counted once. The slots of a role on a node are the number
// of its members that fit there, by counts, if the node holds no others. A rollup sums slots
// up the tree. Later plans reuse it. The leading role is the role with the fewest slots in
// the whole fabric, then the most devices, then by name.
//
// A domain is a vertex of the fabric. A node may lack a level. It then counts as a
// domain of its own in the number of domains, but a required or preferred level
// excludes it. If it has a level finer than the missing one, the finer domain takes
// the place of the missing domain.
//
// An alignment unit, or unit, is a set of devices of one node that are close to each
// other, such as those of a PCIe root. Rail i is unit i of every node. The first device
// need of a member is its anchor (GPUs). The others are followers (NICs), which should be
// in units with anchors of the same member.
//
// A slice is a run of members of a role that belong together. A batch is a number of
// equal slices, or of members of a role without slices, that the search places together.
// A confinement is a set of members that one domain must hold. A wish is a set of members
// that one domain should hold.
//
// An occupant is a set of running pods that leave their nodes together, such as all members
// of a gang that its minimum needs. What they use becomes free when the occupant is gone. A
// victim is an occupant that Clear may choose to evict. A breach is a limit on evictions, such
// as a PodDisruptionBudget, that the eviction of a victim breaks. The focus is a level with a
// set of roles: one domain of this level must hold all members of the roles. Clear searches
// for victims in each of these domains. A cover is a choice of victims, or of shares of them,
// that frees what a domain lacks.
//
// A position is the index of a node in fabric order: the order of the tree. A depth is a
// distance from the root: 0 is the whole fabric, 1 the coarsest level. A dimension is a
// resource or a set of device kinds of which members take an amount.
//
// # Rules
//
// A placement keeps these rules:
//
//  1. A node's free resources and free devices: devices of its kinds meet each
//     device need of each member, and no device serves two needs. By Hall's theorem
//     these are linear limits.
//  2. Role.Limit and the refusals of Fits, the caller's filters. Fits is monotone: if it
//     refuses the n-th member of a role on a node, it refuses the n+1st.
//  3. A required level: one domain of it holds all members of the gang, group,
//     role or slice that requires it, bound members included. If bound members
//     contradict it, no pending member of that set can be placed. Other members
//     are not affected.
//  4. The finest boundary level (a level whose domains RDMA cannot cross): one domain of
//     it holds all members of the roles that need RDMA.
//  5. Slice.Spread: a slice is in one domain of that level and shares it with no
//     other slice of the role.
//  6. Need.Aligned: every follower is in a unit with an anchor of its member.
//  7. Role.Nodes and Need.PerNode: the nodes that pending members of a role may use, and
//     how many of them one node takes.
//  8. AntiAffinity: no domain of the rule's level holds a member of a role in Roles and
//     another member of a role in Others, bound members included.
//  9. Spread and Affinity: the members have an order (Assignment.Order) in which the
//     rules accept each of them, with the pods that exist and the members before it. The
//     stock filters of kube-scheduler have the same rules. They see a member as soon as it
//     is reserved.
//  10. Pools (items that exist once, such as volumes): each member of a pool's users,
//     bound members included, has items of its own at its node. With Pool.AnyOrder this
//     holds for whatever items the members take, in any order, as long as each takes the
//     smallest that will do.
//  11. NodeLimits (such as the attach limit of a storage driver): the pending members on a
//     node take no more than is free there. A thing that members share, such as a volume,
//     counts once on a node, and not if it is present already.
//  12. Conflicts (combinations of members and nodes that a filter refused): of each
//     conflict, at least one term is not fulfilled.
//  13. A quorum: at least Gang.Min members, Role.Min members of each role directly in the
//     gang, and Gang.MinGroups complete groups (all groups if it is 0). A complete group
//     meets its own minimums in the same way. A group that is not complete places no
//     member. If neither the gang (or a group) nor a role directly in it has a minimum,
//     all members of these roles are needed. A role with slices places whole slices, so
//     its number of members is rounded up.
//
// # Alternatives
//
// A role may have alternatives: each of its pending members has the role's own need, or
// the need of one of the alternatives. Members of one slice have the same need. So have
// all members of a role if other rules are about the role as a whole and could not hold
// for its parts, for example those of slices that have bound members. Plan decides how
// many members have each need. It prefers, in this order:
//
//  1. a placement of more members;
//  2. role by role in the order of their names, the most members with the role's own need,
//     then the most with the first alternative, and so on;
//  3. the lower cost.
//
// Each such division is planned as a gang without alternatives. All plans share one step
// budget. If it ends, Plan returns the best placement so far, or Exhausted.
//
// # Cost
//
// The better of two placements of a quorum has the smaller cost. A cost is a
// vector. The first term that differs decides:
//
//  1. wishes: the number of gangs, groups, roles and slices with a broken preferred
//     level: their members are not all in one domain of it.
//  2. domains: the domains used beyond the first, for boundary levels from coarse to
//     fine, then for the other levels from coarse to fine.
//  3. unpaired: followers (every device need after a role's first) that do not fit
//     in a unit with anchors (the first need). On one node, k members with
//     a anchors and f followers each leave max(0, k*f-P) unpaired, where P is the
//     most followers that fit beside k*a anchors if each anchor takes up to
//     ceil(f/a) from its unit. Each role is counted by itself.
//  4. nodes: the nodes used.
//  5. room: the leading role's slots in the used nodes and domains. Fewer slots
//     leave less room behind, and more of the other nodes and domains stay whole. If
//     one node holds all members, its room comes first, then the room of the domains
//     from the finest level to the coarsest. Otherwise the domains come first, then
//     the nodes.
//
// The nodes and domains of bound members count as used. Plan places all members together
// if terms 1 and 2 are then no worse than those of the cheapest quorum. Otherwise it
// places the cheapest quorum and then adds the other members as near to the quorum as
// possible. These other members are not part of the cost.
//
// # Properties
//
//	P1  The same snapshot, gang and answers of Fits give the same Decision, for any
//	    order of nodes, roles, groups and members in the input.
//	P2  A placement keeps all rules above.
//	P3  A decision that is neither Placed nor Exhausted means that no placement
//	    exists. With Placed, Stats.Proven means that no cheaper placement exists.
//	    Clearing.Proven means that no victims of lower cost make a placement possible or,
//	    if there is no placement, that no victims do.
//	P4  Plans change nothing that another plan reads. Rollups reused between plans
//	    change the work, never the answer.
//	P5  The method undo restores a search's partial placement exactly.
//	P6  Fits is called only for nodes about to be used, for the last member of a
//	    role on a node, and never twice with the same arguments.
//	P7  Members of a role take their nodes in fabric order, by Rank, then by name
//	    in natural order. Slices take them in the order of their first node.
//	P8  Clear evicts no unnecessary victim: there is no placement if any one victim stays
//	    that no other victim names in Occupant.After.
//
// # Algorithm
//
// Plan has five steps: check and compile the request; search; explain a failure; add
// the members beyond the quorum; assign nodes to members.
//
// The search first tries nodes that may hold all members. Then it tries candidate
// domains from the smallest level upward, within a level in ascending order of a lower
// bound of their cost. In each candidate it constructs a placement greedily. It
// backtracks only over the choice of domains. It stops when no remaining candidate can
// be cheaper. If construction fails, or its result is not proven to be the cheapest, an
// exact search decides within the step budget. Both work on a partial placement.
//
// With Spread or Affinity rules, construction places member by member in an order that
// they accept. The exact search looks for such an order of each placement that it would
// return. Counts bound what these rules leave of a domain, whatever the order.
//
// # Clearing
//
// Clear chooses the victims that must leave so that a gang has a placement. It compares
// sets of victims by their cost. The first term that differs decides: the number of
// breaches, the largest priority, the sums of the further costs that the caller gives, the
// number of victims. Of sets of equal cost, Clear chooses one for which the gang's
// placement costs least. So a preferred level never requires a more costly victim, but a
// required level may.
//
// If the gang has no placement without a set of victims, it has none without a part of the
// set. Clear has five phases:
//
//  1. Plan with the nodes as they are.
//  2. Plan without the occupants that leave already.
//  3. Plan without all occupants. If there is no placement now, no victims can help.
//  4. Search for the cheapest victims. Each domain of the focus has a lower bound of the
//     cost. In each domain, lowest bound first, Clear tries two orders of the victims:
//     ascending by cost, and the order that empties first the nodes that are cheapest to
//     empty. Clear finds the shortest prefix of the order that makes a placement possible,
//     first by counts, then by bisection. It puts back victims that are not necessary:
//     first those that use no node of the placement, then the others, the most costly
//     first. Where a bound is below the cost of the best victims, an exact search by
//     branch and bound follows, within a step budget.
//  5. Plan without the victims.
//
// Clear calls the filters for the victims that it is about to choose. If the filters refuse,
// it calls them for each set that it tries.
//
// # Reservations
//
// Reserve answers when a gang can start if occupants leave at their known ends. A later time
// never has less room, so Reserve finds the earliest time by bisection over the ends. With
// Stats.Proven no earlier time exists. If an occupant leaves before its end, the gang starts
// no later.
//
// The spare of a node is what the placement leaves free there at the gang's start.
// Reservation.Admit decides whether other pods may run before the gang: those that end by its
// start, and those that take only what is spare. The gang then starts no later.
//
// # Files, from the bottom up
//
// A file uses only the files on its own line and on the lines above.
//
//   - Tools: names.go (natural order), pages.go, heap.go, picker.go.
//   - Input and output: layout.go, gang.go, constraints.go, supply.go, request.go,
//     decision.go, why.go.
//   - One node: class.go; need.go, pairing.go, shape.go (a need compiled for counting).
//   - The cluster: fabric.go (the tree), nodeclasses.go (a class for each node),
//     rollup.go and resourcesums.go (counts summed up the tree), epoch.go (the counts
//     kept between plans), costterms.go, state.go (State and Snapshot), fork.go,
//     occupant.go, score.go.
//   - Items and limits: pool.go, poolcheck.go (whether all find items), nodelimit.go,
//     conflict.go (combinations that the filters have refused).
//   - The request compiled: problem.go (with the rules between members: domains.go,
//     spread.go, affinity.go); rules.go, allowed.go, apart.go, order.go, scope.go,
//     poolcompile.go, limitcompile.go, quorumchoice.go, batch.go; compile.go.
//   - A partial placement: rails.go, partial.go; filters.go (calls of Fits), cost.go,
//     fingerprint.go, basedomain.go.
//   - Filling a domain: fill.go, slicefill.go, compact.go, construct.go (with
//     fillinorder.go), exact.go.
//   - The search: bounds.go, candidates.go, search.go (one quorum), choose.go (all).
//   - The decision: extras.go, assign.go; capacity.go, causes.go (with explainsupply.go),
//     changes.go, explain.go; fixed.go (a gang without alternatives), division.go (members
//     divided over needs), rulesof.go, alternatives.go, plan.go.
//   - Clearing: clearing.go (the answer); victims.go (occupants compiled); emptied.go (counts
//     without some victims); probe.go (a plan without some victims); coverbound.go and
//     slotcover.go (lower bounds); clearsearch.go, cheapestnodes.go, clearexact.go; clear.go.
//   - Reservations: spare.go, reserve.go.
package plan
