// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Attempt is the execution of one plan of a gang: from the plan until all planned members
// are bound, or until the attempt has failed and their nodes are released. The exported
// fields never change. The lock of the Tracker, which holds all gangs, guards the other
// fields.
type Attempt struct {
	Key  gangs.Key
	Gang gangs.Gang
	// Domain names the topology domain that the plan chose, for messages.
	Domain string
	// Began is the time at which planning began.
	Began time.Time

	// plan is the part of the planned assignment that is not carried out yet. plan.Nodes
	// loses a member once the member is bound. plan.Short, the number of members that each
	// role lacks for the quorum (the members that must start together), decreases as
	// members arrive in Permit.
	plan gangs.Assignment
	// phase is Reserving, Binding or Releasing.
	phase Phase
	// reason is the reason for the failure of the attempt.
	reason string
	// outdated is true if the attempt ends because the gang changed after it was planned.
	// Such an attempt does not count as a failed plan (retry.replans).
	outdated bool
	// reserved has the node of each member that passed the Reserve extension point, until
	// the informer shows the member bound. The scheduler's own snapshot already has these
	// members on their nodes.
	reserved map[types.UID]string
	// unknown has the node of each member whose binding ended without an answer: the member
	// may be bound there. Its place is kept until that is known.
	unknown map[types.UID]string
	// failure describes the first binding that failed, "" for none.
	failure string
	// idle is how long planned members have had no scheduling cycle.
	idle time.Duration
	// cycles counts the scheduling cycles of each planned member. A cycle that ends in an
	// error calls no extension point, so the tracker detects the error in the member's next
	// cycle.
	cycles map[types.UID]int
}

// maxCycles is the maximum number of cycles of a member while the other members hold their
// nodes. An error that ends a cycle may be temporary.
const maxCycles = 2

func newAttempt(gang gangs.Gang, plan gangs.Assignment, began time.Time) *Attempt {
	return &Attempt{
		Key: gang.Key, Gang: gang, Domain: plan.Domain, Began: began, plan: plan, phase: Reserving,
		reserved: map[types.UID]string{}, unknown: map[types.UID]string{}, cycles: map[types.UID]int{},
	}
}

// quorate reports whether no role lacks members of the quorum: enough members of every
// role are bound or have arrived in Permit.
func (a *Attempt) quorate() bool {
	for _, n := range a.plan.Short {
		if n > 0 {
			return false
		}
	}
	return true
}

// fail moves an attempt from Reserving to Releasing and returns it. In any other phase it
// does nothing and returns nil.
func (a *Attempt) fail(reason string) *Attempt {
	if a.phase != Reserving {
		return nil
	}
	a.phase, a.reason = Releasing, reason
	return a
}

// arrive records that a member arrived in Permit: its role lacks one member fewer.
func (a *Attempt) arrive(uid types.UID) {
	if role := a.plan.Roles[uid].Role; a.plan.Short[role] > 0 {
		a.plan.Short[role]--
	}
}

// holds returns the planned node and the resource needs of each member that has not
// reserved yet. Other plans must leave this capacity free. A failed attempt holds only the
// nodes of members that perhaps are bound, unless the gang is below its minimum because
// bindings failed (unfinished).
func (a *Attempt) holds(unfinished bool) []gangs.Hold {
	holds := a.perhaps()
	if a.phase == Releasing && !unfinished {
		return holds
	}
	for uid, node := range a.plan.Nodes {
		if a.reserved[uid] == "" {
			holds = append(holds, gangs.Hold{Node: node, Need: a.plan.Needs[uid]})
		}
	}
	return holds
}

// perhaps returns the node and the resource needs of each member that perhaps is bound
// (unknown). The scheduler's snapshot does not have these members on their nodes.
func (a *Attempt) perhaps() []gangs.Hold {
	var holds []gangs.Hold
	for uid, node := range a.unknown {
		if a.reserved[uid] == "" {
			holds = append(holds, gangs.Hold{Node: node, Need: a.plan.Needs[uid]})
		}
	}
	return holds
}

// over reports whether the attempt is complete: no planned member is left to bind, is being
// bound, or is perhaps bound.
func (a *Attempt) over() bool {
	return a.phase == Binding && len(a.plan.Nodes) == 0 && len(a.reserved) == 0 && len(a.unknown) == 0
}

// atRest reports whether no member of the attempt reserves, binds or is perhaps bound. A nil
// attempt is at rest.
func (a *Attempt) atRest() bool {
	return a == nil || a.phase == Binding && len(a.reserved) == 0 && len(a.unknown) == 0
}

// has reports whether the member has a node in this attempt. A failed attempt has none.
func (a *Attempt) has(uid types.UID) bool {
	return a.phase != Releasing && (a.plan.Nodes[uid] != "" || a.reserved[uid] != "")
}

// mayHold reports whether a member has reserved its node or perhaps is bound.
func (a *Attempt) mayHold(uid types.UID) bool { return a.reserved[uid] != "" || a.unknown[uid] != "" }

// forget drops the reservation of a member that is bound (placed) or, in phase Binding, gone.
// It drops the member's entry in unknown if the member is bound or deleted.
func (a *Attempt) forget(uid types.UID, placed, deleted bool) {
	if placed || a.phase == Binding {
		delete(a.reserved, uid)
	}
	if placed || deleted {
		delete(a.unknown, uid)
	}
}

// inherit adds to this attempt the members of an earlier attempt that have reserved, or
// perhaps are bound, and are not known to be bound yet.
func (a *Attempt) inherit(earlier *Attempt) {
	maps.Copy(a.reserved, earlier.reserved)
	maps.Copy(a.unknown, earlier.unknown)
	a.failure = earlier.failure
	for uid := range earlier.reserved {
		a.adopt(uid, earlier)
	}
	for uid := range earlier.unknown {
		a.adopt(uid, earlier)
	}
}

// remainder returns an attempt with the members of a failed attempt that perhaps are bound,
// nil if there are none.
func (a *Attempt) remainder() *Attempt {
	if len(a.unknown) == 0 {
		return nil
	}
	left := newAttempt(a.Gang, gangs.Assignment{Nodes: map[types.UID]string{}, Roles: map[types.UID]gangs.RoleSignature{}}, a.Began)
	left.inherit(a)
	left.phase = Binding
	return left
}

// adopt copies the data about a member from the plan of an earlier attempt, except its node.
func (a *Attempt) adopt(uid types.UID, earlier *Attempt) {
	a.plan.Roles[uid] = earlier.plan.Roles[uid]
	if need, ok := earlier.plan.Needs[uid]; ok {
		a.plan.Needs = with(a.plan.Needs, uid, need)
	}
	if rail, ok := earlier.plan.Rails[uid]; ok {
		a.plan.Rails = with(a.plan.Rails, uid, rail)
	}
	if subrequests, ok := earlier.plan.Subrequests[uid]; ok {
		a.plan.Subrequests = with(a.plan.Subrequests, uid, subrequests)
	}
}

// with sets a value in a map, which it creates if there is none.
func with[V any](m map[types.UID]V, uid types.UID, value V) map[types.UID]V {
	if m == nil {
		m = map[types.UID]V{}
	}
	m[uid] = value
	return m
}

// reservedNodes returns the nodes reserved by members, sorted.
func (a *Attempt) reservedNodes() []string {
	return slices.Compact(slices.Sorted(maps.Values(a.reserved)))
}

// waiting returns the members that have reserved a node and are not known to be bound.
func (a *Attempt) waiting() []types.UID {
	return slices.Collect(maps.Keys(a.reserved))
}
