// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"cmp"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// AllowRetry handles an event that may help a refused gang (one that could not be
// placed). It drops the refusal and returns true if the gang is planned again in the
// scheduling cycle of this member. During the gang's backoff it returns false; the first
// event in that time schedules a retry for the end of the backoff.
func (t *Tracker) AllowRetry(key gangs.Key, pod *v1.Pod, now time.Time) (retries bool, effects Effects) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.refusal == nil && (g.retry.member == "" || g.retry.memberAsks(now)) {
		return false, Effects{}
	}
	if m, ok := g.members[pod.UID]; ok && !m.Ready() {
		return false, Effects{} // the member can have no cycle
	}
	if later := t.backoff(g, now); later > 0 {
		if g.retry.pending {
			return false, Effects{}
		}
		g.retry.pending = true
		return false, Effects{Key: key, RetryAfter: later}
	}
	g.refusal, g.retry.pending, g.retry.member, g.retry.at = nil, false, pod.UID, now
	g.retry.restart()
	t.beginSlowRetry(g, now)
	t.observe(g)
	return true, Effects{}
}

// Retry ends the backoff of a gang. If an event since the gang's refusal may help the
// gang, Retry activates a member, in whose scheduling cycle the gang is planned again. While
// gangs with slow plans pause, Retry postpones the retry of such a gang to the end of the pause.
func (t *Tracker) Retry(key gangs.Key, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || !g.retry.pending || g.backoff(now) > 0 {
		return Effects{}
	}
	if pause := t.slowPause(g, now); pause > 0 {
		return Effects{Key: key, RetryAfter: pause}
	}
	g.retry.pending = false
	effects := Effects{Key: key, Activate: t.wake(g, now)}
	t.observe(g)
	return effects
}

// RetryOthers handles an event that may help members of a refused gang which get no
// queueing hint about it, because they do not wait in the queue yet. Each waiting member
// of the gang gets a hint and calls RetryOthers; only the first call compares the event
// with all members.
func (t *Tracker) RetryOthers(key gangs.Key, event Event, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.refusal == nil || event.ID != nil && g.refusal.judged == event.ID || now.Sub(g.refusal.at) > refusalLife {
		return Effects{} // after refusalLife the cycles of all members have ended
	}
	g.refusal.judged = event.ID
	if event.Affects != nil && !g.anyWaits(event.Affects) {
		return Effects{}
	}
	g.retry.note(event, now)
	if g.retry.pending {
		return Effects{}
	}
	return Effects{Key: key, RetryAfter: g.retryLater(now)}
}

// NoteEvent records an event that may help a member. It drops the records of refused nodes
// (lessons) that the event may have made false. A plan that begins too early to see the event
// is repeated. The caller calls NoteEvent before AllowRetry. For a gang that the scheduler's own
// PodGroup cycles place, key is that of the member's PodGroup.
func (t *Tracker) NoteEvent(key gangs.Key, event Event, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := cmp.Or(t.gangs[key], t.podGroups[key])
	if g == nil {
		return
	}
	g.retry.note(event, now)
	if g.podGroup != nil {
		t.settlePodGroup(g)
	}
}

// RetryWhere handles an event for which the scheduling queue evaluates no hints. helps
// reports whether the event may help a pod. RetryWhere schedules a retry of each refused
// gang with such a pod, and returns the effects by gang.
func (t *Tracker) RetryWhere(helps func(*v1.Pod) bool, now time.Time) []Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Effects
	for key, g := range t.gangs {
		if !g.anyWaits(helps) {
			continue
		}
		g.retry.forgetLessons("")
		g.retry.unseenUntil = now.Add(cacheLag) // a plan in progress may miss the event
		if g.refusal != nil && !g.retry.pending {
			all = append(all, Effects{Key: key, RetryAfter: g.retryLater(now)})
		}
	}
	return all
}

// Tick applies the passing of time. It activates a member of each refused gang for which
// a search is due (for nodes to reserve, or to move the gang to), the pods and gangs that
// were refused because nodes were reserved for another gang until now, and the gangs
// whose evicted members are gone. If a member that was activated to have its gang
// planned had no cycle in time, Tick activates another. From time to time it activates
// members that never had a cycle. It begins the eviction of the bound members of gangs that
// have been below their minimum for Options.HealAfter because bindings failed.
func (t *Tracker) Tick(now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	effects := Effects{Activate: t.endReservation(now), ActivatePodGroups: t.dropExpiredHolds(now)}
	t.tickClearings(now, &effects)
	for _, g := range t.gangs {
		effects.Activate = append(effects.Activate, g.silentDue(now)...)
		if t.giveBack(g, now) {
			effects.Evicting = append(effects.Evicting, g.key)
		}
		switch {
		case g.loss.evicting:
			if _, _, err := g.read(); err == nil && !g.loss.evicting {
				effects.Activate = append(effects.Activate, g.afterEviction()...)
			}
		case g.refusal == nil && g.retry.overdue(now) && g.attempt == nil && g.quorumReady:
			effects.Activate = append(effects.Activate, g.retryOther(now)...)
		case g.refusal == nil || !g.quorumReady || t.slowPause(g, now) > 0:
		case g.loss.due(t.options.HealAfter, now), t.reservationDue(g, now):
			effects.Activate = append(effects.Activate, t.retryNow(g, now)...)
		}
		t.observe(g)
	}
	return effects
}

// giveBack begins the eviction of the bound members of a gang that has been below its minimum
// for Options.HealAfter because bindings failed. It reports whether it did. It evicts nothing
// while the other members are missing, not ready or binding, and if a bound member has no
// controller that would replace it.
func (t *Tracker) giveBack(g *Gang, now time.Time) bool {
	if g.loss.evicting || !g.partial.due(t.options.HealAfter, now) || g.podGroup == nil && !g.attempt.atRest() {
		return false
	}
	declared, readiness, err := g.read()
	if err != nil || g.running == 0 || !readiness.Complete() || !g.belowMinimum(declared, readiness) || unowned(g.runners(declared)) != "" {
		return false
	}
	switch {
	case g.podGroup != nil:
		t.dropHold(g, false)
	case g.attempt != nil:
		clear(g.attempt.plan.Nodes)
	}
	g.loss.begin(t.options.HealAfter)
	g.quorumReady = false
	t.settle(g)
	return true
}

// Evictions returns the members to evict now, by gang.
func (t *Tracker) Evictions(now time.Time) map[gangs.Key][]*v1.Pod {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all map[gangs.Key][]*v1.Pod
	for key, g := range t.gangs {
		if !g.loss.evicting || now.Before(g.loss.next) {
			continue
		}
		declared, _, err := g.read()
		if err != nil || !g.loss.evictionDue(now) {
			t.observe(g)
			continue
		}
		if all == nil {
			all = map[gangs.Key][]*v1.Pod{}
		}
		all[key] = g.runners(declared)
	}
	return all
}

// EvictionBlocked records why a member is not evicted now, "" if nothing prevents it.
func (t *Tracker) EvictionBlocked(key gangs.Key, reason string) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.gangs[key]; g != nil {
		g.loss.blocked = reason
	}
	return Effects{Key: key, Report: true}
}
