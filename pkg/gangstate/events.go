// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Upsert records a new or changed pod. It activates the members if the pod completes
// their quorum (the members that must start together).
func (t *Tracker) Upsert(pod *v1.Pod, now time.Time) Effects {
	key, ok := t.options.Sources.Key(pod)
	if !ok && gangs.InPodGroup(pod) {
		return t.upsertInPodGroup(pod)
	}
	if !ok && gangs.Placed(pod) {
		t.forgetDisplaced(pod)
	}
	if !ok || t.refresh(key, pod) {
		return Effects{}
	}
	m, ok := t.options.Sources.Member(pod)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !ok || !t.belongs(m.Key, pod) {
		return Effects{}
	}
	return t.upsert(m, now)
}

// upsert records a new or changed member.
func (t *Tracker) upsert(m gangs.Member, now time.Time) Effects {
	g, pod := t.gangOf(m), m.Pod
	old := g.members[pod.UID]
	if old.Pod != nil && isDone(old.Pod) && !isDone(pod) {
		return Effects{} // late event: the informer of ended pods has already shown that this pod succeeded
	}
	t.join(g, m)
	t.noteRun(g, pod, now)
	g.noteProgress(now)
	if old.Pod != nil && !gangs.Placed(pod) && !SameForGang(old.Pod, pod) {
		g.retry.forgetLessons("") // filters refused nodes to the member as it was before
	}
	g.noteGain(old.Pod, pod)
	broken := g.disturbedBy(old, pod, false)
	effects := Effects{Key: g.key, Activate: g.changed(old, pod, now), RetryAfter: g.retryChanged(old, pod, now)}
	if broken != nil {
		effects.Release = broken.fail("member " + pod.Name + " changed")
	}
	effects.Activate = append(effects.Activate, g.nextInOrder()...)
	t.settle(g)
	return effects
}

// LacksChanged reads again what a pod lacks, after an object that the pod needs (such as a
// ResourceClaim) was created, changed or deleted. It ignores pods that the tracker does not
// know.
func (t *Tracker) LacksChanged(pod *v1.Pod, now time.Time) Effects {
	key, ok := t.options.Sources.Key(pod)
	if !ok {
		return Effects{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil {
		return Effects{}
	}
	m, ok := g.members[pod.UID]
	if !ok || m.Lacks == g.lackOf(m, m.Pod) {
		return Effects{}
	}
	effects := t.upsert(m, now)
	effects.Report = true
	return effects
}

// refresh replaces the recorded pod of a member if no field changed that matters to its
// gang. It returns false if the change must be handled in full. Most updates of a running
// pod change nothing that matters, and determining a member's role again is expensive.
func (t *Tracker) refresh(key gangs.Key, pod *v1.Pod) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.activationDue {
		return false
	}
	m, had := g.members[pod.UID]
	if !had || !SameForGang(m.Pod, pod) || m.Lacks != g.lackOf(m, pod) {
		return false
	}
	m.Pod = pod
	g.members[pod.UID] = m
	return true
}

// Remove forgets a pod that is no longer in the scheduler's own informer. A member that
// succeeded leaves that informer but remains a member.
func (t *Tracker) Remove(pod *v1.Pod, now time.Time) Effects {
	t.notePod(pod, now)
	return t.forget(pod, now, func(known *v1.Pod) bool { return !isDone(known) })
}

// Erase forgets a deleted pod. Unlike Remove, it also forgets a pod that has succeeded.
func (t *Tracker) Erase(pod *v1.Pod, now time.Time) Effects {
	return t.forget(pod, now, func(*v1.Pod) bool { return true })
}

// forget removes a pod from its gang if may returns true for the last recorded state of
// the pod. It returns the effects on the gang.
func (t *Tracker) forget(pod *v1.Pod, now time.Time, may func(known *v1.Pod) bool) Effects {
	if _, ok := t.options.Sources.Key(pod); !ok && gangs.InPodGroup(pod) {
		return t.forgetInPodGroup(pod, may)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.displaced, pod.UID)
	g := t.home[pod.UID]
	if g == nil || !may(g.members[pod.UID].Pod) {
		return Effects{}
	}
	old := g.members[pod.UID]
	t.leave(g, pod.UID)
	t.noteRun(g, pod, now)
	g.retry.forgetLessons("") // filters may have refused nodes only because of this member
	g.changes++
	effects := Effects{Key: g.key}
	broken := g.disturbedBy(old, pod, true)
	effects.Activate = g.left(old.Pod, now)
	effects.Report = len(g.members) == 0 // the caller then drops what it has reported about the gang
	if broken != nil {
		effects.Release = broken.fail("member " + pod.Name + " was deleted")
	}
	effects.Activate = append(effects.Activate, g.nextInOrder()...)
	t.settle(g)
	return effects
}

// forgetDisplaced forgets that a pod without a gang was refused because of reserved nodes: the
// pod has a node now.
func (t *Tracker) forgetDisplaced(pod *v1.Pod) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.displaced, pod.UID)
}

// DeclarationChanged makes the tracker read the declaration of a gang (such as a JobSet)
// again, and drops the gang's refusal: the result that it cannot be placed. The gang's
// attempt (the execution of a plan) fails if it was made for the old declaration and the quorum
// has not reserved yet.
func (t *Tracker) DeclarationChanged(key gangs.Key, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.podGroups[key]; g != nil {
		g.refusal, g.reservation = nil, Reservation{displaced: g.reservation.displaced}
		g.retry.forgetPlans()
		g.podGroup.awaitsCycle, g.podGroup.lastRefusal = false, ""
		t.observe(g)
		return Effects{Key: key, Report: true} // the scheduler's own queue activates its pods
	}
	effects := Effects{Key: key, Report: true}
	g := t.gangs[key]
	if g == nil {
		return effects
	}
	g.minKnown, g.quorumReady, g.activationDue, g.refusal, g.retry.refusals = false, false, false, nil, 0
	g.retry.forgetPlans()
	g.reservation = Reservation{}
	if effects.Activate = t.releaseStrangers(g); len(effects.Activate) > 0 {
		return effects
	}
	if g.attempt != nil && g.attempt.phase == Reserving {
		g.attempt.outdated = true
		effects.Release = g.attempt
	}
	if g.evaluate() {
		effects.Activate = g.pending()
	}
	if effects.Release != nil {
		effects.Release.fail("its declaration changed")
	}
	t.settle(g)
	return effects
}

// releaseStrangers removes the members that are not in the gang any more: their owner was
// unknown at first, and then turned out to declare no gang. It returns those that wait
// for a node. They are scheduled as pods without a gang.
func (t *Tracker) releaseStrangers(g *Gang) []*v1.Pod {
	if g.attempt != nil {
		return nil
	}
	var free []*v1.Pod
	for _, m := range g.sorted() {
		if t.belongs(g.key, m.Pod) {
			continue
		}
		t.leave(g, m.Pod.UID)
		if g.waits(m.Pod) {
			free = append(free, m.Pod)
		}
	}
	t.settle(g)
	return free
}

// Admit reports whether the pod may enter the queue. It may if it is in no gang, if it is
// ready and its gang's quorum exists, or if it joins a gang with placed members. Admit runs
// under the queue's lock and activates no pod.
func (t *Tracker) Admit(key gangs.Key, pod *v1.Pod) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.belongs(key, pod) {
		return true
	}
	g := t.gangs[key]
	unseen := g == nil || g.members[pod.UID].Pod == nil
	if unseen {
		g = t.addUnseen(pod)
	}
	if g == nil {
		return false
	}
	defer t.observe(g)
	// One ready copy is enough: the queue and the tracker receive the updates of a pod
	// separately, and either copy may be newer.
	known := g.members[pod.UID]
	ready := (gangs.Ready(pod) || gangs.Ready(known.Pod)) && g.lacks(known.Pod) == ""
	if !ready || g.quorumReady || known.Lacks == neverScheduled {
		g.orderFixed = g.orderFixed || ready
		return ready
	}
	g.activationDue = g.evaluate() && (unseen || g.activationDue)
	g.orderFixed = g.orderFixed || g.quorumReady
	return g.quorumReady
}

// Order returns the creation time by which the queue sorts the pods of the gang. It
// returns false for an unknown gang.
func (t *Tracker) Order(key gangs.Key) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil {
		return time.Time{}, false
	}
	return g.order, true
}
