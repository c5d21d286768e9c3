// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Gate keeps the members of a PodGroup out of the queue until the group has its quorum.
type Gate struct {
	quorum quorum
	groups groupReader
	gated  gatedGroups
}

// newGate returns a gate that activates complete groups.
func newGate(quorum quorum, groups groupReader, activate func([]*v1.Pod)) *Gate {
	g := &Gate{quorum: quorum, groups: groups}
	g.gated = gatedGroups{complete: g.complete, activate: activate, anyWaiting: groups.anyWaiting, recheckDelays: recheckDelays}
	return g
}

// PreEnqueue admits the pod once its group has its quorum. It runs under the queue's lock,
// once for every pod of the group.
func (g *Gate) PreEnqueue(ctx context.Context, pod *v1.Pod) *fwk.Status {
	status := g.quorum.PreEnqueue(ctx, pod)
	if !status.IsSuccess() {
		g.gated.add(g.groups.rootOf(pod), pod)
	}
	return status
}

// EventsToRegister returns the events that the pod informer does not bring: PodGroups that
// are created, and that need fewer members than before.
func (g *Gate) EventsToRegister(ctx context.Context) ([]fwk.ClusterEventWithHint, error) {
	events, err := g.quorum.EventsToRegister(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what a PodGroup's quorum waits for: %w", err)
	}
	return slices.DeleteFunc(events, func(e fwk.ClusterEventWithHint) bool {
		return e.Event.Resource == fwk.UnscheduledPod || e.Event.Resource == fwk.AssignedPod
	}), nil
}

// complete reports that the pod's PodGroup has its quorum of pods.
func (g *Gate) complete(pod *v1.Pod) bool {
	return g.quorum.PreEnqueue(context.Background(), pod).IsSuccess()
}

// podAdded rechecks the group of a new pod.
func (g *Gate) podAdded(pod *v1.Pod) { g.gated.recheck(g.groups.rootOf(pod)) }

// recheckDelays are the pauses before each check whether a gated group is complete, from the
// last time that something happened to it. The scheduler, whose count decides, may see a pod
// later than this plugin does, and sees many when it starts; the last pause is repeated
// until the group is admitted or gone.
var recheckDelays = []time.Duration{2 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second}

// gatedGroups are the groups that wait to be admitted to the queue.
type gatedGroups struct {
	// complete reports that the group of the pod may be admitted; activate admits it.
	complete func(*v1.Pod) bool
	activate func([]*v1.Pod)
	// anyWaiting is any pod of the group that waits, nil if none does any more.
	anyWaiting    func(fwk.EntityKey) *v1.Pod
	recheckDelays []time.Duration

	mu     sync.Mutex
	groups map[fwk.EntityKey]*gatedGroup
}

// gatedGroup is one of them, known by any of its pods.
type gatedGroup struct {
	pod *v1.Pod
	// check is the index in recheckDelays of the check for which a timer runs.
	check int
}

// add notes that a group is kept out because of that pod.
func (g *gatedGroups) add(group fwk.EntityKey, pod *v1.Pod) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.groups == nil {
		g.groups = map[fwk.EntityKey]*gatedGroup{}
	}
	if known := g.groups[group]; known != nil {
		known.pod = pod
		return
	}
	g.groups[group] = &gatedGroup{pod: pod}
	g.checkLater(group, 0)
}

// recheck has a group checked again soon, because something happened to it.
func (g *gatedGroups) recheck(group fwk.EntityKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.groups[group]; known != nil && known.check > 0 {
		known.check = 0
		g.checkLater(group, 0)
	}
}

func (g *gatedGroups) checkLater(group fwk.EntityKey, n int) {
	time.AfterFunc(g.recheckDelays[n], func() { g.checkNow(group, n) })
}

// checkNow is the n-th check of a group, unless it was rechecked since.
func (g *gatedGroups) checkNow(group fwk.EntityKey, n int) {
	g.mu.Lock()
	known := g.groups[group]
	if known == nil || known.check != n {
		g.mu.Unlock()
		return
	}
	pod := known.pod
	g.mu.Unlock()

	// Both calls take the lock of the scheduler's cache, which must not be taken under this
	// one. The pod may be gone, and its PodGroup with it, while other pods of the hierarchy
	// wait; finding another pod visits all of them, so only the slowest checks do it.
	complete, another := g.complete(pod), pod
	if !complete && n == len(g.recheckDelays)-1 {
		another = g.anyWaiting(group)
	}

	g.mu.Lock()
	switch now := g.groups[group]; {
	case complete:
		delete(g.groups, group)
	case now != known || now.check != n: // rechecked meanwhile
	case another == nil && known.pod == pod: // and no other pod was kept out meanwhile
		delete(g.groups, group)
	default:
		if known.pod == pod {
			known.pod = another
		}
		known.check = min(n+1, len(g.recheckDelays)-1)
		g.checkLater(group, known.check)
	}
	g.mu.Unlock()
	if complete {
		g.activate([]*v1.Pod{pod})
	}
}
