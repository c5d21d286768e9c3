// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"
)

// wantsRoom reports whether the planner must search for pods to evict if it finds no room for the
// gang. Nobody is evicted for a gang that runs below its minimum and may move, or whose members
// have preemptionPolicy Never.
func (t *Tracker) wantsRoom(g *Gang, now time.Time) bool {
	c := &g.clearing
	switch {
	case !t.options.Preempts, c.active(), now.Before(c.notBefore), now.Sub(c.searched) < c.pause, g.partial.unfinished():
		return false
	case g.anyWaits(func(pod *v1.Pod) bool {
		return pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy == v1.PreemptNever
	}):
		return false
	}
	return t.preemptDue(g, now) <= 0
}

// preemptDue returns how long the gang must still wait for room before pods are evicted for it.
func (t *Tracker) preemptDue(g *Gang, now time.Time) time.Duration {
	if t.options.PreemptAfter == 0 {
		return 0
	}
	if g.retry.refusals == 0 && g.podGroup == nil || g.retry.since.IsZero() {
		return t.options.PreemptAfter
	}
	return t.options.PreemptAfter - now.Sub(g.retry.since)
}

// makeRoom handles the answer to Question.Room (asked is true if it was asked) after a plan that
// found no room. It returns the sentence about the gang, which replaces or follows the refusal of
// the plan, and true if evictions begin or are under way.
func (t *Tracker) makeRoom(g *Gang, asked bool, room *Room, now time.Time, effects *Effects) (sentence string, clears bool) {
	c := &g.clearing
	c.again = time.Time{}
	if asked && room.Searched {
		c.searched, c.pause = now, min(max(minRoomPause, searchShare*room.Took), maxRoomPause)
		if !room.Found {
			if room.MayChange {
				c.again = now.Add(c.pause)
			}
			return room.Refusal, false
		}
		c.room, c.goneAt, c.blocked = *room, time.Time{}, ""
		c.phase, c.since = clearingChosen, now
		if len(room.Victims) == 0 {
			c.phase = clearingLeaving
		}
		effects.Clear = true
	}
	if c.active() {
		return c.sentence(t.options.Exists), true
	}
	if t.options.Preempts && !asked {
		if due := max(t.preemptDue(g, now), c.searched.Add(c.pause).Sub(now), c.notBefore.Sub(now)); due > 0 {
			c.again = now.Add(due)
		}
	}
	return "", false
}
