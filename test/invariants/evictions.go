// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// preemption is what the judge knows about evictions.
type preemption struct {
	// marks are the pods with a condition that names a preemptor. The Eviction API replaces
	// the condition when it deletes the pod, so the judge remembers the condition.
	marks map[types.UID]*mark
	// clearings are those of preemptors that were not placed since.
	clearings map[preemptor]*clearing
	// losses are the gangs of which members were evicted, until they are judged.
	losses map[gangKey]*loss
	// bound is when the pods got their nodes.
	bound  map[types.UID]boundSince
	counts Evictions
}

func newPreemption() preemption {
	return preemption{
		marks: map[types.UID]*mark{}, clearings: map[preemptor]*clearing{},
		losses: map[gangKey]*loss{}, bound: map[types.UID]boundSince{},
	}
}

// Evictions counts the evictions by Dovetail that a checker saw. Without evictions the absence of
// violations proves nothing about them.
type Evictions struct {
	// Pods is the number of evicted pods, and Clearings the number of sets of pods that were
	// evicted together for one preemptor.
	Pods, Clearings int
	// Placed is the number of clearings after which the preemptor was placed. Useless is the
	// number of those after which it was not placed within Options.Placement, for any reason but
	// the end of its members.
	Placed, Useless int
}

// boundSince is when the checker first saw a pod with its node. exact is false if that was in a
// list: then the pod got the node earlier.
type boundSince struct {
	at    time.Time
	exact bool
}

// mark is a condition that names the preemptor of a pod.
type mark struct {
	preemptor preemptor
	priority  int64
	at        time.Time
	evicted   bool
}

// victim is an evicted pod.
type victim struct {
	pod   *v1.Pod // before it left
	since time.Time
	gone  bool
	// devices are those that only its claims had.
	devices []deviceID
}

// clearing has the pods that were evicted together for one preemptor.
type clearing struct {
	preemptor preemptor
	priority  int64
	victims   map[types.UID]*victim
	// began and last are the times of the first and of the last eviction. gone is when the last
	// victim was gone.
	began, last, gone time.Time
	// past names the pods and the whole gangs that former clearings for the preemptor evicted.
	past map[string]bool
	// takers describes the pods that were placed in the room of the victims.
	takers []string
	// failed is a sentence of a member since gone: why the preemptor was not placed.
	failed string
	// bound is true once a member of the preemptor got a node after the clearing began. ended is
	// true after a member ended, until the judge has looked whether the preemptor is still there.
	bound, ended bool
	// resumed is true after a restart of a scheduler. closed is true once the clearing was judged
	// and the preemptor was not placed.
	resumed, closed bool
}

// leaving returns the number of victims that are still there.
func (c *clearing) leaving() int {
	n := 0
	for _, v := range c.victims {
		if !v.gone {
			n++
		}
	}
	return n
}

// evidence lists the victims.
func (c *clearing) evidence() []string {
	var lines []string
	for _, v := range c.victims {
		state := "leaving"
		if v.gone {
			state = "gone"
		}
		lines = append(lines, fmt.Sprintf("%s on %s of priority %d: evicted at %s, %s", podName(v.pod), v.pod.Spec.NodeName, priorityOf(v.pod), formatTime(v.since), state))
	}
	slices.Sort(lines)
	return lines
}

// loss is a gang of which members were evicted.
type loss struct {
	// had are the members that held a node, or counted toward the minimum, before the first
	// eviction.
	had     map[types.UID]member
	evicted map[types.UID]bool
	// first and last are the times of the evictions. age is as of the first one.
	first, last time.Time
	age         age
	preemptor   preemptor
}

// age is how long pods that were evicted together had run since the first of them started, and for
// how long at least their annotations ask. A pod whose start is unknown has run for long.
type age struct{ ran, least time.Duration }
