// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// The scheduler schedules no pod while it plans a gang. A plan takes milliseconds, unless a filter
// needs seconds for a node, as kube-scheduler's own search for devices may. The queue sorts gangs
// by age, so each retry of a gang with slow plans would delay every newer pod. Such gangs
// therefore pause after a slow plan.

// slowPlan is the time from which a plan counts as slow.
const slowPlan = time.Second

// slowTurn is how much longer than the gang whose turn it is other gangs with slow plans wait.
// The callers of this package look for gangs that may be planned at most five seconds apart.
const slowTurn = 6 * time.Second

// notePlan records how long the plan of a gang took. A slow plan begins a pause.
func (t *Tracker) notePlan(g *Gang, began, now time.Time) {
	g.retry.slow = 0
	if took := now.Sub(began); took >= slowPlan {
		g.retry.slow, g.retry.slowAt = took, now
		t.slowUntil = now.Add(took)
	}
}

// slowPause returns how long a refused gang must still wait if its last plan was slow, otherwise
// 0. After a slow plan, no such gang is planned for as long as that plan took. So all such gangs
// together take at most half of the scheduler's time. After the pause one gang has its turn: of
// the gangs for which slowPause was called, the one whose last plan ended first.
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

// backoff returns the time until a refused gang may be planned again. It is not shorter than the
// pause of gangs with slow plans.
func (t *Tracker) backoff(g *Gang, now time.Time) time.Duration {
	return max(g.backoff(now), t.slowPause(g, now))
}

// beginSlowRetry makes the other gangs with slow plans wait while this gang is planned again, and
// as long again after that. It expects the plan to take as long as the last one. The turn ends,
// even if it was another gang's. The caller has dropped the gang's refusal.
func (t *Tracker) beginSlowRetry(g *Gang, now time.Time) {
	if g.retry.slow > 0 {
		t.slowUntil, t.slowNext = now.Add(2*g.retry.slow), nil
	}
}

// retryNow calls Gang.retryNow, which drops the refusal of a gang and returns the member to
// activate. If the gang's last plan was slow, other such gangs wait.
func (t *Tracker) retryNow(g *Gang, now time.Time) []*v1.Pod {
	pods := g.retryNow(now)
	if len(pods) > 0 {
		t.beginSlowRetry(g, now)
	}
	return pods
}

// NotePodGroupPlan records how long a plan in a PodGroup cycle (a scheduling cycle for a whole
// PodGroup) took, whether or not it found a placement. It is also called for plans during
// preemption, about which RefusePodGroup is not called.
func (t *Tracker) NotePodGroupPlan(began, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if took := now.Sub(began); took >= slowPlan {
		t.slowUntil = now.Add(took)
	}
}

// AdmitPodGroup reports whether the PodGroup of a pod may enter the queue. It returns false for a
// refused gang whose last plan was slow, while such gangs pause. After the pause it drops the
// gang's refusal, and the pause for the other gangs begins. BeginPodGroupCycle cannot refuse a
// gang because of a pause: preemption repeats the cycle of a refused gang at once.
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
