// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A planned member whose scheduling cycle does not come, because a PreEnqueue plugin keeps
// its pod out of the queue, must not make the other members hold their nodes. Such a member
// does not count as ready until it has a cycle.

const (
	// stallLimit is how long a planned member may be without a scheduling cycle while its
	// quorum reserves. The queue keeps members of a gang together, so their cycles follow
	// one another within milliseconds.
	stallLimit = 10 * time.Second
	// placeLimit is how long a place is kept for a member whose binding failed and that
	// has no further cycle. It is longer than the longest backoff of a pod.
	placeLimit = time.Minute
	// maxTick is the most that one call of EndStalled adds to the time without cycles, even
	// if the call before was longer ago: a scheduler that was paused has had no cycles.
	maxTick = 2 * time.Second
	// silentPause is the interval at which members without cycles are activated again.
	silentPause = 30 * time.Second
)

// setLacks replaces the reason why a member can have no scheduling cycle, "" for none.
func (g *Gang) setLacks(uid types.UID, reason string) {
	m, ok := g.members[uid]
	if !ok || gangs.Placed(m.Pod) {
		return
	}
	g.drop(uid)
	m.Lacks = reason
	g.add(m)
	g.changes++
	g.markStale()
}

// heard records that a member has a scheduling cycle. A member that was marked because it
// had none counts as ready again.
func (t *Tracker) heard(key gangs.Key, uid types.UID) {
	g := t.gangs[key]
	if g == nil || g.members[uid].Lacks != neverScheduled {
		return
	}
	g.setLacks(uid, "")
	g.evaluate()
	t.observe(g)
}

// EndStalled ends attempts (executions of plans) with a planned member that has had no
// scheduling cycle in time. The caller calls it every second.
func (t *Tracker) EndStalled(now time.Time) []Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	passed := min(now.Sub(t.ticked), maxTick)
	t.ticked = now
	var all []Effects
	for key, g := range t.gangs {
		if g.podGroup != nil || g.attempt == nil {
			continue
		}
		stalled := g.stalled(passed)
		if len(stalled) == 0 {
			continue
		}
		effects := Effects{Key: key, Report: true}
		name := g.members[stalled[0]].Pod.Name
		for _, uid := range stalled {
			g.silence(uid, now)
		}
		g.quorumReady = false
		g.evaluate()
		effects.Release = g.attempt.fail("member " + name + " has had no scheduling cycle in time")
		t.settle(g)
		all = append(all, effects)
	}
	return all
}

// stalled adds the time that passed to the attempt's idle time. It returns the planned members
// that have had no cycle for too long, by name.
func (g *Gang) stalled(passed time.Duration) []types.UID {
	attempt, limit := g.attempt, stallLimit
	switch attempt.phase {
	case Releasing:
		return nil
	case Binding:
		limit = placeLimit
	}
	var late []types.UID
	for _, m := range g.sorted() {
		if uid := m.Pod.UID; attempt.open(uid) && !attempt.tooEarly(uid) {
			late = append(late, uid)
		}
	}
	if attempt.idle += passed; len(late) == 0 {
		attempt.idle = 0
	}
	if attempt.idle < limit {
		return nil
	}
	return late
}

// silence marks a member that has had no cycle (neverScheduled), but not one whose cycle ended
// in an error. In phase Binding it marks either kind of member and takes its planned node
// away.
func (g *Gang) silence(uid types.UID, now time.Time) {
	if g.attempt.cycles[uid] == 0 || g.attempt.phase == Binding {
		g.setLacks(uid, neverScheduled)
		g.silencedAt = now
	}
	if g.attempt.phase == Binding {
		delete(g.attempt.plan.Nodes, uid)
	}
}

// silentDue returns the members without cycles that are to be activated again.
func (g *Gang) silentDue(now time.Time) []*v1.Pod {
	if g.silencedAt.IsZero() || now.Sub(g.silencedAt) < silentPause {
		return nil
	}
	g.silencedAt = time.Time{}
	var pods []*v1.Pod
	for _, pod := range g.pending() {
		if g.members[pod.UID].Lacks == neverScheduled {
			pods, g.silencedAt = append(pods, pod), now
		}
	}
	return pods
}
