// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const (
	// askLimit is the longest time in which evictions are requested after a search.
	askLimit = time.Minute
	// leaveLimit is how long after the end of their grace periods evicted pods may still exist.
	leaveLimit = 2 * time.Minute
	// placeWithin is how long the room that evicted pods left is held until the gang has its
	// nodes. Controllers free the devices of a pod some seconds after the pod is gone.
	placeWithin = time.Minute
	// recentEviction is how long an eviction makes another one of the same pods dearer.
	recentEviction = time.Hour
)

// ClearingVictims returns the victims of a gang, those that are gone included, and whether nobody
// was asked to evict them yet. It returns nil if nobody is evicted for the gang.
func (t *Tracker) ClearingVictims(key gangs.Key) (victims []Victim, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || !g.clearing.active() {
		return nil, false
	}
	return g.clearing.room.Victims, g.clearing.phase == clearingChosen
}

// Priority returns the priority of a gang, 0 for an unknown one.
func (t *Tracker) Priority(key gangs.Key) int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.gangs[key]; g != nil {
		return g.priority
	}
	return 0
}

// ClearingGangs returns the gangs for which pods are being evicted.
func (t *Tracker) ClearingGangs() []gangs.Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	var keys []gangs.Key
	for key, g := range t.gangs {
		if g.clearing.active() {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, gangs.CompareKeys)
	return keys
}

// ClearingRefused ends evictions of which the API server refused one before anybody was evicted.
func (t *Tracker) ClearingRefused(key gangs.Key, reason string, now time.Time) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.clearing.phase != clearingChosen {
		return Effects{}
	}
	effects := Effects{Key: key, Report: true}
	t.giveRoom(g)
	g.clearing.notBefore = now.Add(maxRoomPause)
	if g.refusal != nil {
		g.refusal.message = key.Messagef("no room, and pods of lower priority are not evicted: %s", reason)
		g.clearing.again = now.Add(maxRoomPause)
	}
	t.observe(g)
	return effects
}

// ClearingBegun records that the evictions are requested from now on.
func (t *Tracker) ClearingBegun(key gangs.Key, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.clearing.phase != clearingChosen {
		return false
	}
	c := &g.clearing
	c.phase, c.since = clearingLeaving, now
	for i := range c.room.Victims {
		name := c.room.Victims[i].Name
		if c.evicted == nil {
			c.evicted = map[string]bool{}
		}
		c.evicted[name] = true
		t.evictedAt[name] = now
	}
	return true
}

// ClearingBlocked records why a victim is not evicted yet, "" if nothing prevents it.
func (t *Tracker) ClearingBlocked(key gangs.Key, reason string) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || !g.clearing.active() || g.clearing.blocked == reason {
		return Effects{}
	}
	g.clearing.blocked = reason
	g.renewClearing(t.options.Exists)
	return Effects{Key: key, Report: true}
}

// renewClearing makes the gang's refusal say how far the evictions are.
func (g *Gang) renewClearing(exists func(*v1.Pod) bool) {
	if g.refusal != nil && g.clearing.active() {
		g.refusal.message = g.key.Messagef("%s", g.clearing.sentence(exists))
	}
}

// Spared returns why a unit (a gang or a pod) is not to be evicted for the gang, "" for no reason:
// nobody is evicted for the same gang twice.
func (t *Tracker) Spared(key gangs.Key, name string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.gangs[key]; g != nil && g.clearing.evicted[name] {
		return "was evicted for it before"
	}
	return ""
}

// Recent reports whether a unit (a gang or a pod) was evicted for another within the last hour.
func (t *Tracker) Recent(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, recent := t.evictedAt[name]
	return recent
}

// tickClearing applies the passing of time to the evictions for a gang. It returns the members to
// activate.
func (t *Tracker) tickClearing(g *Gang, now time.Time) []*v1.Pod {
	c := &g.clearing
	if !c.active() || g.attempt != nil {
		return nil
	}
	if c.phase == clearingChosen {
		if now.Sub(c.since) > askLimit {
			t.giveRoom(g)
		}
		return nil
	}
	grace, left := time.Duration(0), false
	for _, pod := range c.pods() {
		left = left || t.options.Exists(pod)
		if seconds := pod.Spec.TerminationGracePeriodSeconds; seconds != nil {
			grace = max(grace, time.Duration(*seconds)*time.Second)
		}
	}
	switch {
	case !left && c.goneAt.IsZero():
		c.goneAt = now
		return t.wake(g, now)
	case !left && now.Sub(c.goneAt) > placeWithin, left && now.Sub(c.since) > grace+leaveLimit:
		c.fail(now)
		t.giveRoom(g)
		return t.wake(g, now)
	}
	return nil
}

// wake returns the members to activate so that a gang without room is planned again.
func (t *Tracker) wake(g *Gang, now time.Time) []*v1.Pod {
	if g.podGroup == nil {
		return t.retryNow(g, now)
	}
	pods := g.pending()
	return pods[:min(1, len(pods))]
}

// tickClearings applies the passing of time to all evictions. If room that was held for a gang is
// not held any more, all gangs without room are planned again: no event tells them.
func (t *Tracker) tickClearings(now time.Time, effects *Effects) {
	t.forgetEvictions(now)
	for _, g := range t.gangs {
		effects.Activate = append(effects.Activate, t.tickClearing(g, now)...)
		if again := g.clearing.again; g.refusal != nil && !again.IsZero() && !now.Before(again) {
			g.clearing.again = time.Time{}
			effects.Activate = append(effects.Activate, t.wake(g, now)...)
		}
	}
	if !t.roomGiven {
		return
	}
	t.roomGiven, effects.ActivatePodGroups = false, true
	for _, g := range t.gangs {
		if g.refusal != nil && g.podGroup == nil && g.quorumReady && t.slowPause(g, now) == 0 {
			effects.Activate = append(effects.Activate, t.retryNow(g, now)...)
		}
	}
}

// forgetEvictions drops the evictions that are too long ago to matter.
func (t *Tracker) forgetEvictions(now time.Time) {
	maps.DeleteFunc(t.evictedAt, func(_ string, at time.Time) bool { return now.Sub(at) > recentEviction })
}
