// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// No pod is scheduled while a gang is planned. A plan takes milliseconds, unless filters need
// seconds for a node, as the in-tree search for devices may. The queue sorts a gang by its age,
// so a gang with slow plans would come before every newer pod each time that it is tried again.

// slowPlan is the time from which a plan counts as slow.
const slowPlan = time.Second

// slowTurn is how much longer than the gang whose turn it is other gangs with slow plans wait.
// Callers look for gangs that may be planned at most five seconds apart.
const slowTurn = 6 * time.Second

// notePlan records how long planning a gang took.
func (t *Tracker) notePlan(g *Gang, began, now time.Time) {
	was := g.retry.slow
	g.retry.slow = 0
	switch took := now.Sub(began); {
	case took >= slowPlan:
		g.retry.slow, g.retry.slowAt = took, now
		t.slowUntil = now.Add(took)
	case was > 0:
		t.slowUntil = now // the pause was for a plan as slow as the last one
	}
}

// slowPause returns how long a refused gang with a slow plan must wait. After a slow plan, none
// of these gangs is planned for as long as that plan took: they get at most half of the
// scheduler's time, all together. Then it is the turn of the one whose last plan is the oldest,
// of those for which slowPause was called meanwhile.
func (t *Tracker) slowPause(g *Gang, now time.Time) time.Duration {
	if g == nil || !g.pauses() {
		return 0
	}
	pause := t.slowUntil.Sub(now)
	if pause <= -slowTurn {
		return 0
	}
	if next := t.slowNext; next == nil || !next.pauses() || t.gangs[next.key] != next || g.retry.slowAt.Before(next.retry.slowAt) {
		t.slowNext = g
	}
	if t.slowNext != g {
		pause += slowTurn
	}
	return max(0, pause)
}

// pauses reports whether the gang is one that waits after slow plans.
func (g *Gang) pauses() bool { return g.refusal != nil && g.retry.slow > 0 }

// backoff returns the time until a refused gang may be planned again. It includes the pause of
// gangs with slow plans.
func (t *Tracker) backoff(g *Gang, now time.Time) time.Duration {
	return max(g.backoff(now), t.slowPause(g, now))
}

// beginSlowRetry makes the other gangs with slow plans wait while this gang, whose refusal was
// dropped, is planned again, and after that. The plan is expected to take as long as the last
// one. The turn ends, even if another gang did not use it.
func (t *Tracker) beginSlowRetry(g *Gang, now time.Time) {
	if g.retry.slow > 0 {
		t.slowUntil, t.slowNext = now.Add(2*g.retry.slow), nil
	}
}

// retryNow drops the refusal of a gang and returns the member to activate (Gang.retryNow).
func (t *Tracker) retryNow(g *Gang, now time.Time) []*v1.Pod {
	pods := g.retryNow(now)
	if len(pods) > 0 {
		t.beginSlowRetry(g, now)
	}
	return pods
}

// NotePodGroupPlan records how long a plan of a PodGroup cycle took, whatever its answer. It
// also counts plans of preemption, which RefusePodGroup does not see.
func (t *Tracker) NotePodGroupPlan(began, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if took := now.Sub(began); took >= slowPlan {
		t.slowUntil = now.Add(took)
	}
}

// AdmitPodGroup reports whether the PodGroup of a pod may enter the queue: it returns false for
// a refused gang with a slow plan while such gangs pause. A pause cannot be in BeginPodGroupCycle
// because preemption repeats the cycle of a refused gang at once.
func (t *Tracker) AdmitPodGroup(pod *v1.Pod, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.podGroups[gangs.PodGroupKeyOf(pod)]
	if g == nil || !g.pauses() {
		return true
	}
	if t.slowPause(g, now) > 0 {
		return false
	}
	g.refusal = nil
	t.beginSlowRetry(g, now)
	t.observe(g)
	return true
}
