// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// AllowRetry drops the refusal of a gang, because an event may help it. It reports whether
// the gang is planned again in this member's cycle. During the gang's backoff it is not.
// The first event in that time schedules a retry for the end of the backoff.
func (t *Tracker) AllowRetry(key gangs.Key, pod *v1.Pod, now time.Time) (retries bool, effects Effects) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.refusal == nil && (g.retry.member == "" || g.retry.memberAsks(now)) {
		return false, Effects{}
	}
	if later := g.backoff(now); later > 0 {
		if g.retry.pending {
			return false, Effects{}
		}
		g.retry.pending = true
		return false, Effects{Key: key, RetryAfter: later}
	}
	g.refusal, g.retry.pending, g.retry.member, g.retry.at = nil, false, pod.UID, now
	g.retry.forgetPlans()
	t.observe(g)
	return true, Effects{}
}

// Retry activates a member of a gang whose backoff ended, if an event since the refusal may
// help the gang. The gang is planned again in that member's cycle.
func (t *Tracker) Retry(key gangs.Key, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || !g.retry.pending || g.backoff(now) > 0 {
		return Effects{}
	}
	g.retry.pending = false
	effects := Effects{Key: key, Activate: g.retryNow(now)}
	t.observe(g)
	return effects
}

// RetryOthers records an event that may help members which get no hint about it, because
// their cycles are still to come. Each of n members gets a hint; the first one compares the
// event with all members.
func (t *Tracker) RetryOthers(key gangs.Key, event Event, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.refusal == nil || g.retry.pending || now.Sub(g.refusal.at) > refusalLife {
		return Effects{} // after refusalLife every cycle has come
	}
	if event.Affects != nil && (g.refusal.judged == event.ID || !g.anyWaits(event.Affects)) {
		g.refusal.judged = event.ID
		return Effects{}
	}
	g.retry.noteLate(event, now)
	return Effects{Key: key, RetryAfter: g.retryLater(now)}
}

// NoteEvent records an event that helps a member, before AllowRetry.
func (t *Tracker) NoteEvent(key gangs.Key, event Event, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.gangs[key]; g != nil {
		g.retry.noteLate(event, now)
	}
}

// RetryWhere records an event that helps certain pods and for which the queue evaluates no
// hints. It returns the effects by gang.
func (t *Tracker) RetryWhere(helps func(*v1.Pod) bool, now time.Time) []Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Effects
	for key, g := range t.gangs {
		if !g.anyWaits(helps) {
			continue
		}
		g.retry.unseenUntil = now.Add(cacheLag) // a plan may be under way
		if g.refusal != nil && !g.retry.pending {
			all = append(all, Effects{Key: key, RetryAfter: g.retryLater(now)})
		}
	}
	return all
}

// Tick applies the passing of time. It activates members of refused gangs whose reservation
// or move is due, pods and members displaced by an ended reservation, and members of gangs
// whose eviction has ended.
func (t *Tracker) Tick(now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	effects := Effects{Activate: t.endReservation(now), ActivatePodGroups: t.dropExpiredHolds(now)}
	for _, g := range t.gangs {
		switch {
		case g.loss.evicting:
			if _, _, err := g.read(); err == nil && !g.loss.evicting {
				effects.Activate = append(effects.Activate, g.afterEviction()...)
			}
		case g.refusal == nil || !g.quorumReady:
		case g.loss.due(t.options.HealAfter, now), t.reservationDue(g, now):
			effects.Activate = append(effects.Activate, g.retryNow(now)...)
		}
		t.observe(g)
	}
	return effects
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

// Budgeted records the member that a PodDisruptionBudget protects, or "".
func (t *Tracker) Budgeted(key gangs.Key, name string) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.gangs[key]; g != nil {
		g.loss.budgeted = name
	}
	return Effects{Key: key, Report: true}
}
