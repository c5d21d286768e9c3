// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const (
	// minRoomPause and maxRoomPause limit the time between two searches for pods to evict for
	// a gang. The pause is searchShare times as long as the last search took, so that searches
	// take a small part of the scheduler's time.
	minRoomPause = time.Second
	maxRoomPause = 30 * time.Second
	searchShare  = 20
	// firstClearPause is how long a gang may evict nobody after it did so in vain. The pause
	// doubles each time, up to maxClearPause.
	firstClearPause = 5 * time.Minute
	maxClearPause   = time.Hour
)

// Room is the answer to Question.Room: pods that must leave for the gang.
type Room struct {
	// Searched is true if the planner searched.
	Searched bool
	// Found is true if the gang has the nodes in Assignment once the victims (the pods to
	// evict) and the pods in Awaited, which are leaving already, are gone.
	Found      bool
	Assignment gangs.Assignment
	Victims    []Victim
	Awaited    []*v1.Pod
	// Refusal explains why evictions do not help, as part of a sentence, "" if nobody could be
	// evicted.
	Refusal string
	// MayChange is true if the answer may become another one with time alone: pods are being
	// bound, or are protected from eviction.
	MayChange bool
	// Took is how long the search took.
	Took time.Duration
}

// Victim is a set of pods that are evicted together.
type Victim struct {
	// Name names the set for users: a gang or a pod.
	Name string
	Pods []*v1.Pod
	// Devices is the number of devices that only these pods use.
	Devices int
	// Lost is the run time whose work is lost.
	Lost time.Duration
}

// clearingPhase is the state of an eviction for a gang.
type clearingPhase int

const (
	// noClearing means that nobody is evicted for the gang.
	noClearing clearingPhase = iota
	// clearingChosen means that the victims are known and nobody has been evicted yet.
	clearingChosen
	// clearingLeaving means that the evictions were requested. The victims are ending.
	clearingLeaving
)

// clearing is the state of evictions that make room for a gang.
type clearing struct {
	phase clearingPhase
	room  Room
	// since is the time at which the phase began. goneAt is the time at which all victims and
	// awaited pods were first seen gone, zero before.
	since, goneAt time.Time
	// blocked explains why a victim is not evicted yet, "" if nothing prevents it.
	blocked string
	// searched is the time of the last search, pause the least time until the next.
	searched time.Time
	pause    time.Duration
	// again is the time at which the gang is planned again because a search is due then, zero
	// for none.
	again time.Time
	// failures counts the evictions in vain since the gang was last placed. Before the time
	// notBefore nobody is evicted for the gang. evicted has the names of those evicted for it.
	failures  int
	notBefore time.Time
	evicted   map[string]bool
}

// active reports whether room is being made for the gang.
func (c *clearing) active() bool { return c.phase != noClearing }

// remembers reports whether the next evictions for the gang depend on earlier ones.
func (c *clearing) remembers() bool { return c.active() || len(c.evicted) > 0 || !c.searched.IsZero() }

// end ends the evictions for the gang. The room is not held any more.
func (c *clearing) end() {
	c.phase, c.room, c.goneAt, c.blocked, c.again = noClearing, Room{}, time.Time{}, "", time.Time{}
}

// finish ends the evictions for a gang that has its nodes. Later ones begin without a pause.
func (c *clearing) finish() {
	c.failures, c.evicted, c.notBefore = 0, nil, time.Time{}
	c.end()
}

// fail begins the pause after evictions that were in vain.
func (c *clearing) fail(now time.Time) {
	if len(c.room.Victims) == 0 {
		return
	}
	pause := firstClearPause
	for i := 0; i < c.failures && pause < maxClearPause; i++ {
		pause *= 2
	}
	c.failures++
	c.notBefore = now.Add(min(pause, maxClearPause))
}

// holds returns the capacity that the gang needs on the nodes of its room.
func (c *clearing) holds() []gangs.Hold {
	if !c.active() {
		return nil
	}
	plan := &c.room.Assignment
	holds := make([]gangs.Hold, 0, len(plan.Nodes))
	for uid, node := range plan.Nodes {
		holds = append(holds, gangs.Hold{Node: node, Need: plan.Needs[uid]})
	}
	return holds
}

// pods returns the pods that the gang waits for.
func (c *clearing) pods() []*v1.Pod {
	pods := slices.Clone(c.room.Awaited)
	for i := range c.room.Victims {
		pods = append(pods, c.room.Victims[i].Pods...)
	}
	return pods
}

// sentence describes the evictions for the gang.
func (c *clearing) sentence(exists func(*v1.Pod) bool) string {
	var left []*v1.Pod
	nodes := map[string]bool{}
	for _, pod := range c.pods() {
		if exists(pod) {
			left = append(left, pod)
			nodes[pod.Spec.NodeName] = true
		}
	}
	var text string
	switch {
	case c.phase == clearingChosen:
		text = "evicting " + c.victims() + "; it starts when they are gone"
	case len(left) == 0:
		text = "waiting until what " + counted(len(c.pods()), "the evicted pod", "%d pods") + " used is free"
	default:
		text = "waiting for " + counted(len(left), "1 pod that is ending", "%d pods that are ending") + " on " + counted(len(nodes), "1 node", "%d nodes")
		if len(c.room.Victims) > 0 {
			text += "; evicted for it: " + c.victims()
		}
	}
	if c.blocked != "" {
		text += "; " + c.blocked
	}
	return text
}

// maxVictims is the largest number of victims that a sentence names.
const maxVictims = 3

// victims describes the victims: "3 pods of lower priority (job ml/b, pod ml/x) with 24
// devices".
func (c *clearing) victims() string {
	pods, devices := 0, 0
	var names []string
	for i := range c.room.Victims {
		victim := &c.room.Victims[i]
		pods, devices = pods+len(victim.Pods), devices+victim.Devices
		if i < maxVictims {
			names = append(names, strings.TrimPrefix(victim.Name, "gang "))
		}
	}
	if more := len(c.room.Victims) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	text := counted(pods, "1 pod", "%d pods") + " of lower priority (" + strings.Join(names, ", ") + ")"
	if domain := c.room.Assignment.Domain; domain != "" {
		text += " in " + domain
	}
	if devices > 0 {
		text += " with " + counted(devices, "1 device", "%d devices")
	}
	return text
}
