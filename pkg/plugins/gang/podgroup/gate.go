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

// Gate keeps the members of a PodGroup out of the queue until the group has its quorum
// (the members that must start together). It also keeps out a refused group whose last plan took
// a second or more, while such groups pause.
type Gate struct {
	quorum quorum
	groups groupReader
	// rested returns false if the pod's group must wait after a slow plan. Otherwise it drops the
	// group's refusal, so that the group is planned again.
	rested func(*v1.Pod) bool
	gated  gatedGroups
}

// newGate returns a gate that calls activate with the pods of a group once the group may enter
// the queue.
func newGate(quorum quorum, groups groupReader, rested func(*v1.Pod) bool, activate func([]*v1.Pod)) *Gate {
	g := &Gate{quorum: quorum, groups: groups, rested: rested}
	admits := func(pod *v1.Pod) bool { return g.admits(context.Background(), pod).IsSuccess() }
	g.gated = gatedGroups{admit: admits, activate: activate, anyWaiting: groups.anyWaiting, recheckDelays: recheckDelays}
	return g
}

// PreEnqueue admits the pod once its group has its quorum, unless the group must wait after a
// slow plan. It runs under the queue's lock, once per pod of the group.
func (g *Gate) PreEnqueue(ctx context.Context, pod *v1.Pod) *fwk.Status {
	status := g.admits(ctx, pod)
	if !status.IsSuccess() {
		g.gated.add(g.groups.rootOf(pod), pod)
	}
	return status
}

// admits returns the reason why the pod's PodGroup may not enter the queue: the group lacks its
// quorum of pods, or must wait after a slow plan. It returns success if the group may enter.
func (g *Gate) admits(ctx context.Context, pod *v1.Pod) *fwk.Status {
	status := g.quorum.PreEnqueue(ctx, pod)
	if status.IsSuccess() && !g.rested(pod) {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "the gang's last plan was slow; it is planned again after a pause")
	}
	return status
}

// EventsToRegister returns the events that are not pod events: created PodGroups, and
// PodGroups whose quorum was lowered. The pod informer covers pod events.
func (g *Gate) EventsToRegister(ctx context.Context) ([]fwk.ClusterEventWithHint, error) {
	events, err := g.quorum.EventsToRegister(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what a PodGroup's quorum waits for: %w", err)
	}
	return slices.DeleteFunc(events, func(e fwk.ClusterEventWithHint) bool {
		return e.Event.Resource == fwk.UnscheduledPod || e.Event.Resource == fwk.AssignedPod
	}), nil
}

// Gated returns the number of groups that the gate keeps out of the queue.
func (g *Gate) Gated() int {
	g.gated.mu.Lock()
	defer g.gated.mu.Unlock()
	return len(g.gated.groups)
}

// complete reports whether the pod's PodGroup has its quorum of pods.
func (g *Gate) complete(pod *v1.Pod) bool {
	return g.quorum.PreEnqueue(context.Background(), pod).IsSuccess()
}

// podAdded checks whether the group of a new pod may enter the queue now.
func (g *Gate) podAdded(pod *v1.Pod) { g.gated.recheck(g.groups.rootOf(pod)) }

// recheckDelays are the pauses between checks whether a group that the gate keeps out may
// enter the queue, counted from the last change of the group. The checks are needed because
// no event follows when the pause after a slow plan ends, and because the scheduler's own
// count of pods decides, which may include a pod later than this plugin's informer does. The
// scheduler's count lags most at startup. The last pause repeats until the group is admitted
// or deleted.
var recheckDelays = []time.Duration{2 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second}

// gatedGroups are the groups that wait for admission to the queue.
type gatedGroups struct {
	// admit reports whether the group of the pod may enter the queue; activate makes it enter.
	admit    func(*v1.Pod) bool
	activate func([]*v1.Pod)
	// anyWaiting returns any waiting pod of the group, nil if there is none.
	anyWaiting    func(fwk.EntityKey) *v1.Pod
	recheckDelays []time.Duration

	mu     sync.Mutex
	groups map[fwk.EntityKey]*gatedGroup
}

// gatedGroup is a group that the gate keeps out of the queue, represented by any of its
// pods.
type gatedGroup struct {
	pod *v1.Pod
	// check is the index in recheckDelays of the next check.
	check int
}

// add records that the gate keeps this pod of the group out.
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

// recheck restarts the checks of a group that changed, with the shortest delay.
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

// checkNow runs the n-th check of a group, unless a recheck has replaced it.
func (g *gatedGroups) checkNow(group fwk.EntityKey, n int) {
	g.mu.Lock()
	known := g.groups[group]
	if known == nil || known.check != n {
		g.mu.Unlock()
		return
	}
	pod := known.pod
	g.mu.Unlock()

	// Both calls take the lock of the scheduler's cache, so they must not run under g.mu.
	// The pod and its PodGroup may be deleted while other pods of the hierarchy wait.
	// Finding another pod visits all groups, so only the last, slowest check does it.
	admitted, another := g.admit(pod), pod
	if !admitted && n == len(g.recheckDelays)-1 {
		another = g.anyWaiting(group)
	}

	g.mu.Lock()
	switch now := g.groups[group]; {
	case admitted:
		delete(g.groups, group)
	case now != known || now.check != n: // recheck restarted the checks meanwhile
	case another == nil && known.pod == pod: // no pod of the group waits, and add got none meanwhile
		delete(g.groups, group)
	default:
		if known.pod == pod {
			known.pod = another
		}
		known.check = min(n+1, len(g.recheckDelays)-1)
		g.checkLater(group, known.check)
	}
	g.mu.Unlock()
	if admitted {
		g.activate([]*v1.Pod{pod})
	}
}
