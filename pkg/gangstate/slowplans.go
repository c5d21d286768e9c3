// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import "time"

// No pod is scheduled while a gang is planned. A plan takes milliseconds, unless filters need
// seconds for a node, as the in-tree search for devices may. The queue sorts a gang by its age,
// so a gang with slow plans would come before every newer pod each time that it is tried again.

// slowPlan is the time from which a plan counts as slow.
const slowPlan = time.Second

// notePlan records how long planning a gang took.
func (t *Tracker) notePlan(g *Gang, began, now time.Time) {
	took := now.Sub(began)
	if g.retry.slow = took >= slowPlan; g.retry.slow {
		t.slowUntil = now.Add(took)
	}
}

// slowPause returns how long a refused gang with a slow plan must wait. After a slow plan, none
// of these gangs is planned for as long as that plan took: they get at most half of the
// scheduler's time, all together.
func (t *Tracker) slowPause(g *Gang, now time.Time) time.Duration {
	if g == nil || g.refusal == nil || !g.retry.slow {
		return 0
	}
	return max(0, t.slowUntil.Sub(now))
}

// postpone repeats the refusal of a gang, and has the gang planned again after a pause.
func (g *Gang) postpone(pause time.Duration, now time.Time) Step {
	g.retry.member = ""
	after := max(pause, g.retryLater(now))
	return Step{Refusal: g.refusal.message, Effects: Effects{Key: g.key, RetryAfter: after}}
}
