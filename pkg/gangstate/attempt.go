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

// Attempt is one plan on its way from the planner to the bindings. Its exported fields
// never change; the tracker's lock guards the others.
type Attempt struct {
	Key  gangs.Key
	Gang gangs.Gang
	// Domain names the planned domain for people.
	Domain string
	// Began is when planning began.
	Began time.Time

	// plan is the assignment that is still open: Nodes loses a member once it is placed, and
	// Short counts down as members arrive in Permit.
	plan gangs.Assignment
	// phase is Reserving, Binding or Releasing.
	phase Phase
	// reason says why the attempt failed.
	reason string
	// outdated reports that the gang is no longer what was planned, which is no fault of the
	// plan and not counted as a replan.
	outdated bool
	// reserved holds the members past Reserve until the informer shows them bound. The
	// scheduler's own snapshot has them on their nodes.
	reserved map[types.UID]string
	// cycles counts the scheduling cycles of each planned member. A cycle that ends in an
	// error reports nothing, so the next cycle is how the tracker learns of it.
	cycles map[types.UID]int
}

// maxCycles is how many cycles of a member may end in an error, which may be temporary,
// while the other members hold their nodes for it.
const maxCycles = 2

func newAttempt(gang gangs.Gang, plan gangs.Assignment, began time.Time) *Attempt {
	return &Attempt{
		Key: gang.Key, Gang: gang, Domain: plan.Domain, Began: began, plan: plan, phase: Reserving,
		reserved: map[types.UID]string{}, cycles: map[types.UID]int{},
	}
}

// quorate reports that no role lacks a member of the quorum.
func (a *Attempt) quorate() bool {
	for _, n := range a.plan.Short {
		if n > 0 {
			return false
		}
	}
	return true
}

// fail ends an attempt that is still Reserving. It returns nil if it is not.
func (a *Attempt) fail(reason string) *Attempt {
	if a.phase != Reserving {
		return nil
	}
	a.phase, a.reason = Releasing, reason
	return a
}

// arrive counts a member that stands in Permit.
func (a *Attempt) arrive(uid types.UID) {
	if role := a.plan.Roles[uid].Role; a.plan.Short[role] > 0 {
		a.plan.Short[role]--
	}
}

// heldOn counts the members with a role and signature that a failing attempt gives back
// on a node.
func (a *Attempt) heldOn(role gangs.RoleSignature, node string) int {
	if a.phase == Binding {
		return 0
	}
	n := 0
	for uid, at := range a.reserved {
		if at == node && a.plan.Roles[uid] == role {
			n++
		}
	}
	return n
}

// holds returns the room that the plan counts on and no member has reserved yet.
func (a *Attempt) holds() []gangs.Hold {
	if a.phase == Releasing {
		return nil
	}
	var holds []gangs.Hold
	for uid, node := range a.plan.Nodes {
		if a.reserved[uid] == "" {
			holds = append(holds, gangs.Hold{Node: node, Need: a.plan.Needs[uid]})
		}
	}
	return holds
}

// over reports that nothing is left of an attempt: every planned member is bound.
func (a *Attempt) over() bool {
	return a.phase == Binding && len(a.plan.Nodes) == 0 && len(a.reserved) == 0
}

// has reports that the attempt in force has a node for the member.
func (a *Attempt) has(uid types.UID) bool {
	return a.phase != Releasing && (a.plan.Nodes[uid] != "" || a.reserved[uid] != "")
}

// inherit takes over the members that an earlier attempt has still to bind.
func (a *Attempt) inherit(earlier *Attempt) {
	maps.Copy(a.reserved, earlier.reserved)
	for uid := range earlier.reserved {
		a.plan.Roles[uid] = earlier.plan.Roles[uid]
	}
}

// reservedNodes returns the nodes that members have reserved, sorted.
func (a *Attempt) reservedNodes() []string {
	return slices.Compact(slices.Sorted(maps.Values(a.reserved)))
}

// waiting returns the members that have reserved.
func (a *Attempt) waiting() []types.UID {
	return slices.Collect(maps.Keys(a.reserved))
}
