// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// begin makes the attempt (the execution of a plan) the gang's current one. The attempt
// takes over members of an earlier attempt that still bind. begin returns false if a
// member of the planned quorum (the members that must start together) left during
// planning. If the quorum was complete without the planned members, begin only removes
// from the plan the members that left: with them the attempt would never be complete.
func (t *Tracker) begin(g *Gang, attempt *Attempt, now time.Time) bool {
	if g.attempt != nil {
		attempt.inherit(g.attempt)
	}
	if attempt.quorate() {
		attempt.phase = Binding
	}
	t.noteBypass(g, now)
	switch {
	case attempt.phase == Binding:
		g.clearing.finish()
	case g.clearing.phase == clearingChosen:
		t.giveRoom(g) // the gang has found other room before anybody was evicted
	}
	g.attempt, g.refusal, g.retry.member = attempt, nil, ""
	planned := len(attempt.plan.Nodes)
	maps.DeleteFunc(attempt.plan.Nodes, func(uid types.UID, _ string) bool {
		m, ok := g.members[uid]
		return !ok || !counts(m) || gangs.Placed(m.Pod)
	})
	attempt.outdated = attempt.phase == Reserving && len(attempt.plan.Nodes) < planned
	return !attempt.outdated
}

// planned returns the members with a node in an attempt whose cycle may come now.
func (g *Gang) planned(attempt *Attempt) []*v1.Pod {
	return slices.DeleteFunc(g.pending(), func(pod *v1.Pod) bool {
		return attempt.plan.Nodes[pod.UID] == "" || attempt.tooEarly(pod.UID)
	})
}

// FilterRefused records that a stock filter refused the planned node of a member. The gang
// is planned again without that node. After MaxReplans times it first backs off.
func (t *Tracker) FilterRefused(key gangs.Key, pod *v1.Pod, node, reason string, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.attempt == nil {
		return Effects{}
	}
	attempt, effects := g.attempt, Effects{Key: key}
	role := attempt.plan.Roles[pod.UID]
	g.retry.learn(attempt.lessonOf(role, node, now))
	if attempt.phase != Binding {
		effects.Release = attempt.fail(reason)
		t.observe(g)
		return effects
	}
	// The quorum has reserved, and the gang runs without this member. Only this member is
	// planned again.
	delete(attempt.plan.Nodes, pod.UID)
	t.settle(g)
	if g.retry.replans++; g.retry.replans > t.options.MaxReplans {
		g.refuse(key.Messagef("%s", reason), "", now)
		effects.RetryAfter = g.retryLearned(attempt.Began, now)
		t.observe(g)
	}
	effects.Activate = append(g.nextInOrder(), pod)
	return effects
}

// Reserve records that the member has reserved its node. It activates the next member if
// the plan has an order.
func (t *Tracker) Reserve(key gangs.Key, uid types.UID, node string) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.attempt == nil {
		return Effects{}
	}
	g.attempt.reserved[uid], g.attempt.idle = node, 0
	return Effects{Key: key, Activate: g.nextInOrder()}
}

// Unreserve records that the member released its node. If the quorum has not reserved
// yet, the attempt fails. Otherwise the member's binding failed: it is activated to join
// the gang again, on the same node as long as its gang is below its minimum.
func (t *Tracker) Unreserve(key gangs.Key, pod *v1.Pod, node string, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.attempt == nil {
		return Effects{}
	}
	attempt, effects := g.attempt, Effects{Key: key}
	delete(attempt.reserved, pod.UID)
	switch attempt.phase {
	case Reserving:
		if attempt.plan.Nodes[pod.UID] == "" { // the member's binding belongs to an earlier attempt
			g.keepPlace(pod, node, now)
		}
		effects.Release = attempt.fail("member " + pod.Name + " lost its place on node " + node)
		t.observe(g)
	case Binding:
		g.keepPlace(pod, node, now)
		effects.Report = g.partial.unfinished()
		effects.Activate = append(g.nextInOrder(), pod) // no event would activate the pod after its rejection
		t.settle(g)
	}
	return effects
}

// Permit is the action of the Permit extension point for a member.
type Permit int

const (
	// PermitAllow means that the quorum has reserved. The member may bind.
	PermitAllow Permit = iota
	// PermitWait means that the member must wait for others of the quorum to arrive.
	PermitWait
	// PermitComplete means that this member completes the quorum. The caller calls Open.
	PermitComplete
	// PermitReject means that the attempt has failed or does not exist.
	PermitReject
)

// Permit records that the member arrived in Permit. It returns what the member may do
// there, and the gang's current attempt, nil if there is none.
func (t *Tracker) Permit(key gangs.Key, uid types.UID) (Permit, *Attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	attempt := t.attemptOf(key)
	if attempt == nil {
		return PermitReject, nil
	}
	switch attempt.phase {
	case Releasing:
		return PermitReject, attempt
	case Binding:
		return PermitAllow, attempt
	}
	attempt.arrive(uid)
	if attempt.quorate() {
		return PermitComplete, attempt
	}
	return PermitWait, attempt
}

// Open allows every member of the attempt to bind. It returns false if the attempt failed
// after its last member arrived. It activates members that are not in the plan and may
// join now.
func (t *Tracker) Open(attempt *Attempt) (Effects, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if attempt.phase != Reserving {
		return Effects{}, false
	}
	attempt.phase = Binding
	effects := Effects{Key: attempt.Key, Allow: attempt.waiting()}
	g := t.gangs[attempt.Key]
	if g == nil {
		return effects, true
	}
	g.retry.forgetPlans()
	g.clearing.finish()
	effects.Activate = slices.DeleteFunc(g.pending(), func(pod *v1.Pod) bool {
		_, known := attempt.plan.Roles[pod.UID]
		return known || !g.members[pod.UID].Ready()
	})
	if len(effects.Activate) > 0 {
		g.markStale() // the refusal is about members of the plan, not about the activated ones
	}
	t.observe(g)
	return effects, true
}

// ReservedNodes returns the nodes reserved by the attempt's members, sorted.
func (t *Tracker) ReservedNodes(attempt *Attempt) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return attempt.reservedNodes()
}

// Holders returns the members of a failed attempt that have not released their nodes yet,
// and the reason for the failure.
func (t *Tracker) Holders(attempt *Attempt) ([]types.UID, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return attempt.waiting(), attempt.reason
}

// Released ends a failed attempt after its members have released their nodes. It activates
// the members if the gang may be planned again at once. Members that perhaps are bound by
// an earlier plan stay in an attempt of their own until that is known.
func (t *Tracker) Released(attempt *Attempt, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	effects := Effects{Key: attempt.Key, Report: true}
	g := t.gangs[attempt.Key]
	if g == nil || g.attempt != attempt {
		return effects
	}
	g.attempt = attempt.remainder()
	t.settle(g)
	if !attempt.outdated {
		g.retry.replans++
	}
	if g.retry.replans > t.options.MaxReplans {
		g.refuse(attempt.Key.Messagef("%s", attempt.reason), "", now)
		effects.RetryAfter = g.retryLearned(attempt.Began, now)
		t.observe(g)
		return effects
	}
	effects.Activate = g.pending()
	return effects
}
