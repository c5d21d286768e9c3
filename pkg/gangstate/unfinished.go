// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A gang that was allowed to bind may end up below its minimum: an admission webhook or a
// quota refuses some of its bindings, or the API server fails. Its remaining members keep
// their places and are planned before all other gangs. After the configured time healAfter
// the bound members are evicted, so that the gang starts whole or not at all.

// BindFailed records why the binding of a member failed. The caller calls it before Unreserve.
// unknown is true if the API server has perhaps bound the member: its answer was lost.
func (t *Tracker) BindFailed(key gangs.Key, pod *v1.Pod, node, cause string, unknown bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	attempt := t.attemptOf(key)
	if attempt == nil {
		return
	}
	attempt.failure = cmp.Or(attempt.failure, bindingFailed(pod.Name, node, cause))
	if unknown && attempt.reserved[pod.UID] != "" {
		attempt.unknown[pod.UID] = node
	}
}

// UnknownBindings returns the members that perhaps are bound, by gang.
func (t *Tracker) UnknownBindings() map[gangs.Key][]*v1.Pod {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all map[gangs.Key][]*v1.Pod
	for key, g := range t.gangs {
		if g.attempt == nil || g.podGroup != nil {
			continue
		}
		for uid := range g.attempt.unknown {
			if m, ok := g.members[uid]; ok && g.attempt.reserved[uid] == "" {
				if all == nil {
					all = map[gangs.Key][]*v1.Pod{}
				}
				all[key] = append(all[key], m.Pod)
			}
		}
	}
	return all
}

// NotBound records that a member whose binding ended without an answer is not bound. The
// member is activated to be bound again. If the gang has a new plan that is not yet reserved,
// that plan fails, because it relies on the member.
func (t *Tracker) NotBound(key gangs.Key, pod *v1.Pod, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.attempt == nil || g.attempt.unknown[pod.UID] == "" {
		return Effects{}
	}
	node := g.attempt.unknown[pod.UID]
	delete(g.attempt.unknown, pod.UID)
	if g.attempt.phase == Reserving { // the plan relies on this member being bound
		g.attempt.outdated = true
		effects := Effects{Key: key, Release: g.attempt.fail("member " + pod.Name + " is not bound to node " + node)}
		t.observe(g)
		return effects
	}
	g.keepPlace(pod, node, now)
	effects := Effects{Key: key, Activate: []*v1.Pod{pod}, Report: g.partial.unfinished()}
	t.settle(g)
	return effects
}

// keepPlace decides whether a member whose binding failed keeps its place on the node. It
// does if it is perhaps bound there, and if the gang is below its minimum. A gang of which
// nothing runs or binds any more gives back all places: it is planned again as a whole.
func (g *Gang) keepPlace(pod *v1.Pod, node string, now time.Time) {
	attempt := g.attempt
	delete(attempt.plan.Nodes, pod.UID)
	m := g.members[pod.UID]
	if attempt.unknown[pod.UID] != "" || !counts(m) || gangs.Placed(m.Pod) {
		return
	}
	declared, readiness, err := g.read()
	switch {
	case err != nil || g.loss.evicting || !g.belowMinimum(declared, readiness):
	case g.running == 0 && len(attempt.reserved) == 0 && len(attempt.unknown) == 0:
		clear(attempt.plan.Nodes)
	default:
		attempt.plan.Nodes[pod.UID] = node
		g.partial.begin(cmp.Or(attempt.failure, bindingFailed(pod.Name, node, "")), now)
	}
}

// belowMinimum reports whether too few members are bound for the quorum.
func (g *Gang) belowMinimum(declared gangs.Gang, readiness gangs.Readiness) bool {
	if g.podGroup != nil {
		return !declared.Quorate(g.sorted(), isPlaced)
	}
	return readiness.Placed < declared.Min
}

// Unfinished returns the gangs that are below their minimum because bindings failed, in queue
// order. Their remaining members must be planned before other gangs. It omits the gang with the
// key except, and gangs that back off after a refusal. A gang that an event may help does not
// back off, unless its refusal is temporary or its last plan was slow.
func (t *Tracker) Unfinished(except gangs.Key, now time.Time) []gangs.Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unfinished(except, now)
}

func (t *Tracker) unfinished(except gangs.Key, now time.Time) []gangs.Key {
	var found []*Gang
	for key, g := range t.gangs {
		if key != except && g.podGroup == nil && t.slowPause(g, now) == 0 && g.plansRest(now) {
			found = append(found, g)
		}
	}
	slices.SortFunc(found, func(a, b *Gang) int {
		if a.precedes(b) {
			return -1
		}
		return 1
	})
	var keys []gangs.Key
	for _, g := range found {
		keys = append(keys, g.key)
	}
	return keys
}

// plansRest reports whether the gang is below its minimum because bindings failed, and has
// members without a planned node that may be planned now.
func (g *Gang) plansRest(now time.Time) bool {
	if !g.partial.unfinished() || g.loss.evicting || g.attempt != nil && g.attempt.phase != Binding {
		return false
	}
	if g.refusal != nil && (g.refusal.temporary || !g.retry.pending) && g.backoff(now) > 0 {
		return false
	}
	return slices.ContainsFunc(g.unplanned(), func(pod *v1.Pod) bool { return g.members[pod.UID].Ready() })
}

// unowned returns the name of the first pod that no controller would replace, "" for none.
func unowned(pods []*v1.Pod) string {
	for _, pod := range pods {
		if metav1.GetControllerOfNoCopy(pod) == nil {
			return pod.Name
		}
	}
	return ""
}

// unfinishedSentence explains why members of a gang below its minimum are not bound, and
// what becomes of those that are.
func (t *Tracker) unfinishedSentence(g *Gang, declared gangs.Gang) string {
	text := g.key.Messagef("%d of %d members are bound, and %s", g.running, max(declared.Min, g.running), g.partial.failure)
	if g.refusal != nil {
		text = g.refusal.message + "; " + g.partial.failure
	} else {
		text += "; the places of the others are kept"
	}
	owner := unowned(g.runners(declared))
	switch after := t.options.HealAfter; {
	case after == 0:
		return text + "; " + counted(g.running, "its one bound member stays", "the %d members that are bound stay") + ", because healAfter is 0"
	case owner != "":
		return text + "; " + counted(g.running, "its one bound member stays", "the %d members that are bound stay") + ", because no controller would replace pod " + owner
	default:
		return text + fmt.Sprintf("; if the others are not bound within healAfter (%v), %s evicted",
			after, counted(g.running, "its one bound member is", "the %d members that are bound are"))
	}
}

// notReserved returns the pending members that hold no node now.
func (g *Gang) notReserved() []*v1.Pod {
	return slices.DeleteFunc(g.pending(), func(pod *v1.Pod) bool { return g.attempt != nil && g.attempt.reserved[pod.UID] != "" })
}
