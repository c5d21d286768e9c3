// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gangstate is the state machine of gangs: groups of pods (members) of which a minimum,
// the quorum, must start together. It decides the next action of each gang and its members.
//
// A Tracker holds the gangs of one scheduler profile. It has four kinds of input: pods, and
// objects that declare gangs, from informers (Upsert, Remove, Erase, DeclarationChanged), the
// extension points of the scheduling cycle (Admit, NextStep, Resolve, Reserve, Permit, Open,
// FilterRefused, Unreserve), hints about events (AllowRetry, RetryOthers, RetryWhere,
// NoteEvent), and the passing of time (Tick, Retry, Evictions). Effects (such as pods to queue
// or to evict) come out, and the caller applies them; there is no clock, client or queue inside.
//
// A plan assigns the members to nodes. An attempt is the execution of one plan. A refusal is
// the result that there is no plan. Two arguments of the plugin Gang limit patience: healAfter
// is how long a gang may lack a member, maxReplans how many plans it gets without backing off.
// A gang is in one phase at a time. These are all transitions; the random simulation in the
// tests takes each of them and no other:
//
//	Incomplete -> Ready      the quorum became ready, or members may join a gang that runs
//	Incomplete -> Refused    the quorum became ready again before the last refusal was dropped
//	Incomplete -> Placed     members were bound before this scheduler started, or waiting ones left
//	Ready -> Incomplete      a member left, or the declaration changed
//	Ready -> Reserving       a plan was found for the quorum
//	Ready -> Binding         a plan was found for members that join a gang with its quorum
//	Ready -> Refused         no plan was found
//	Ready -> Evicting        no plan was found, and healAfter has passed since a member was lost
//	Ready -> Placed          the members that waited left
//	Refused -> Ready         an event or time allows a retry
//	Refused -> Reserving     a retry found a plan for the quorum
//	Refused -> Binding       a retry found a plan for members that join
//	Refused -> Incomplete    a member left, or the declaration changed
//	Refused -> Evicting      a retry found no plan after healAfter
//	Refused -> Placed        the members that waited left
//	Reserving -> Binding     the quorum has reserved
//	Reserving -> Releasing   a filter refused, a member left or lost its node, or the declaration changed
//	Releasing -> Ready       all nodes are given back, and the gang is planned again
//	Releasing -> Refused     all nodes are given back, after maxReplans failed plans
//	Releasing -> Incomplete  all nodes are given back, and a member has left
//	Releasing -> Binding     all nodes are given back, and a member of an earlier plan is perhaps bound
//	Releasing -> Placed      all nodes are given back, and only running members are left
//	Binding -> Placed        every planned member is bound
//	Binding -> Ready         every planned member is bound or gone, and others may join
//	Binding -> Refused       every planned member is bound or gone, and no more members had room
//	Binding -> Incomplete    a planned member left
//	Binding -> Reserving     members left while others bind, and the quorum is planned again
//	Binding -> Evicting      bindings failed, and the gang has been below its minimum for healAfter
//	Evicting -> Ready        the last evicted member is gone
//	Evicting -> Incomplete   the last evicted member is gone, and too few members wait
//	Evicting -> Refused      the last evicted member is gone before the last refusal was dropped
//	Placed -> Ready          a member came that may join
//	Placed -> Incomplete     a member left, or the declaration changed
//	Placed -> Refused        a member may be placed again before the last refusal was dropped
//
// If a filter refuses a member's planned node, the tracker records a lesson: these members
// cannot be on these nodes together. Later plans avoid that, also after the gang has backed
// off. The tracker drops a lesson when an event may have made it false, when a member changes
// or leaves, when the quorum may bind, and after a fixed time (lessonLife).
//
// The scheduler's own PodGroup cycle places PodGroups of scheduling.k8s.io. Such a gang goes
// through the same phases. The tracker has the gang only while there is no room for it, or
// while room is held for its remaining members (Reserving). The PodGroup cycle itself reserves
// and binds all members or none.
//
// The simulation checks these invariants:
//
//   - Open allows members to bind only if the quorum has reserved its nodes.
//   - When nothing is in progress, no unbound member holds a node.
//   - A gang with a ready quorum and room is placed.
//   - The tracker keeps no state of a gang without members.
//   - No member binds while its gang's attempt is Releasing.
//   - While it is unknown whether a member is bound, no other pod gets its room.
//   - While bindings leave a gang below its minimum, its members keep their places.
//   - No member waits for another that gets no scheduling cycle.
//   - The members of a plan with an order reserve in that order.
//
// Future features would fit into the table. A gang that makes room by preemption would be
// Refused with a Reservation (nodes kept for it) until its victims are gone. If members were
// planned one by one, only the Question (what to plan) that NextStep returns would change.
package gangstate
