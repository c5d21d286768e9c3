// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// FailedBinding is a member whose binding failed after a PodGroup cycle, in which the scheduler
// places all pods of a PodGroup together.
type FailedBinding struct {
	Pod  *v1.Pod
	Node string
	// Cause is the error of the binding, "" if it is not known.
	Cause string
	// Unknown is true if the API server has perhaps bound the member.
	Unknown bool
}

// PodGroupBindFailed records that the binding of a member failed. request and plan are those of
// its PodGroup cycle. The member's place is held until the gang's next PodGroup cycle if the
// gang is below its minimum, or if the member is perhaps bound there. members are the request's
// members as the informer shows them now.
func (t *Tracker) PodGroupBindFailed(request *gangs.Request, members []gangs.Member, plan gangs.Assignment, failed FailedBinding, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.podGroupGang(request)
	t.putMembers(g, members)
	declared, readiness := g.readPodGroup()
	g.quorumReady = readiness.Waiting == ""
	below := g.belowMinimum(declared, readiness)
	m, known := g.members[failed.Pod.UID]
	if !known || gangs.Placed(m.Pod) || g.loss.evicting || !below && !failed.Unknown {
		t.settlePodGroup(g)
		return Effects{}
	}
	if g.attempt == nil {
		g.attempt = newAttempt(request.Gang, gangs.Assignment{Nodes: map[types.UID]string{}}, now)
	}
	uid := failed.Pod.UID
	g.attempt.plan.Nodes[uid], g.podGroup.heldSince = failed.Node, now
	if need, ok := plan.Needs[uid]; ok {
		g.attempt.plan.Needs = with(g.attempt.plan.Needs, uid, need)
	}
	if below {
		g.partial.begin(bindingFailed(failed.Pod.Name, failed.Node, failed.Cause), now)
	}
	t.observe(g)
	return Effects{Key: g.key, Report: below}
}

// dropHoldOfRefused releases the nodes held for a gang whose cycle found no room, unless the
// gang is below its minimum because bindings failed: then the nodes stay held.
func (t *Tracker) dropHoldOfRefused(g *Gang, now time.Time) {
	if g.partial.unfinished() {
		g.podGroup.heldSince = now
		return
	}
	t.dropHold(g, false)
}

// endHoldOf releases the place held for a member that is bound now, or deleted. used is
// false if the member did not take it.
func (t *Tracker) endHoldOf(g *Gang, uid types.UID, used bool) {
	if g.attempt == nil || g.attempt.plan.Nodes[uid] == "" {
		return
	}
	delete(g.attempt.plan.Nodes, uid)
	t.heldInVain = t.heldInVain || !used
	if len(g.attempt.plan.Nodes) == 0 {
		t.dropHold(g, used)
	}
}

// endHoldsOf releases the places held for the members of a PodGroup cycle that has placed them.
// A cycle has only the members that wait in the queue then. If bindings failed before, the
// places of the other unbound members stay held.
func (t *Tracker) endHoldsOf(g *Gang, request *gangs.Request) {
	if !g.partial.unfinished() {
		t.dropHold(g, true)
		return
	}
	for _, m := range request.Members {
		t.endHoldOf(g, m.Pod.UID, true)
	}
}

// heldForOthers returns the places held for members of the gang that a PodGroup cycle does not
// have. Its plan must leave them free.
func (g *Gang) heldForOthers(request *gangs.Request) []gangs.Hold {
	if g.attempt == nil || !g.partial.unfinished() {
		return nil
	}
	var holds []gangs.Hold
	for uid, node := range g.attempt.plan.Nodes {
		if !slices.ContainsFunc(request.Members, func(m gangs.Member) bool { return m.Pod.UID == uid }) {
			holds = append(holds, gangs.Hold{Node: node, Need: g.attempt.plan.Needs[uid]})
		}
	}
	return holds
}
