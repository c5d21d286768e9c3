// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// GateName is the name of the plugin GangGate in a profile.
const GateName = "GangGate"

// Gate keeps a pod out of the queue until its gang's quorum exists.
//
// It is a plugin of its own for the sake of the queue. At every event that the plugin
// which keeps a pod out waits for, the queue asks about the pod, and if it is in a
// PodGroup about all others of that as well. Gang waits for much, and the in-tree
// GangScheduling for every pod that comes or is bound; both made a group of n pods cost
// n² questions. This plugin waits for hardly anything: whoever completes a quorum is
// seen by the pod informer, and the members are activated.
type Gate struct{ gang *Gang }

var (
	_ fwk.PreEnqueuePlugin  = (*Gate)(nil)
	_ fwk.EnqueueExtensions = (*Gate)(nil)
)

// Gates has Gate and Gang of each profile find each other. They are made in no stated
// order, and before anything is scheduled. What Gang lets out is counted together.
type Gates struct {
	mu        sync.Mutex
	byProfile map[string]*gateway
	bindings  *semaphore.Weighted
}

type gateway struct {
	gang *Gang
	gate *Gate
}

func (g *Gates) enter(profile string, one gateway) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byProfile == nil {
		g.byProfile, g.bindings = map[string]*gateway{}, semaphore.NewWeighted(maxBindings)
	}
	known := g.byProfile[profile]
	if known == nil {
		known = &gateway{}
		g.byProfile[profile] = known
	}
	if one.gang != nil {
		known.gang, one.gang.bindings = one.gang, g.bindings
	}
	if one.gate != nil {
		known.gate = one.gate
	}
	if known.gang != nil && known.gate != nil {
		known.gate.gang, known.gang.gated = known.gang, true
	}
}

// NewGate makes the plugin for one profile, which does nothing without Gang.
func NewGate(handle fwk.Handle, gates *Gates) (fwk.Plugin, error) {
	gate := &Gate{}
	gates.enter(handle.ProfileName(), gateway{gate: gate})
	return gate, nil
}

// Name returns the plugin's name.
func (*Gate) Name() string { return GateName }

// PreEnqueue keeps a pod out of the queue until its gang's quorum exists.
func (p *Gate) PreEnqueue(ctx context.Context, pod *v1.Pod) *fwk.Status {
	if p.gang == nil {
		return nil
	}
	if p.gang.quorum != nil && gangs.InPodGroup(pod) {
		return p.gang.letGroupIn(ctx, pod)
	}
	return p.gang.letIn(pod)
}

// EventsToRegister returns what the pod informer does not tell: PodGroups that come,
// and that need fewer members than before.
func (p *Gate) EventsToRegister(ctx context.Context) ([]fwk.ClusterEventWithHint, error) {
	if p.gang == nil || p.gang.quorum == nil {
		return nil, nil
	}
	events, err := p.gang.quorum.EventsToRegister(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what a PodGroup's quorum waits for: %w", err)
	}
	return slices.DeleteFunc(events, func(e fwk.ClusterEventWithHint) bool {
		return e.Event.Resource == fwk.UnscheduledPod || e.Event.Resource == fwk.AssignedPod
	}), nil
}

// letIn is PreEnqueue for a pod that is in no PodGroup of scheduling.k8s.io.
func (g *Gang) letIn(pod *v1.Pod) *fwk.Status {
	key, ok := g.sources.Key(pod)
	if !ok || g.book.gate(key, pod) {
		return nil
	}
	g.report.later(key)
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "waiting for "+key.String())
}

// letGroupIn is PreEnqueue for a member of a PodGroup. It runs under the queue's lock,
// once for every pod of the group.
func (g *Gang) letGroupIn(ctx context.Context, pod *v1.Pod) *fwk.Status {
	status := g.quorum.PreEnqueue(ctx, pod)
	if !status.IsSuccess() {
		g.outside.wait(g.rootOf(pod), pod)
	}
	return status
}

// rootOf is the group that the queue has the pod in: the topmost of its hierarchy.
func (g *Gang) rootOf(pod *v1.Pod) fwk.EntityKey {
	own := fwk.PodGroupKey(pod.Namespace, *pod.Spec.SchedulingGroup.PodGroupName)
	if !g.hierarchies {
		return own
	}
	if root, ok, err := g.handle.PodGroupManager().GetRootKeyForGroup(own); err == nil && ok {
		return root
	}
	return own // what is above it is not known yet, and the queue does not have it
}

// cameToGroup looks whether a pod that came to a PodGroup completes its quorum.
func (g *Gang) cameToGroup(pod *v1.Pod) {
	if g.gated && g.quorum != nil && gangs.InPodGroup(pod) {
		g.outside.recall(g.rootOf(pod))
	}
}

// looks are the pauses before each look at whether a group that waits is complete, from
// the last time that something happened to it. The scheduler, whose count decides, may
// hear of a pod later than we do, and has many to hear of when it starts; the last pause
// is repeated until the group is let in or gone.
var looks = []time.Duration{2 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second}

// outside are the groups that wait before the gate.
type outside struct {
	// complete says that the group of the pod may be let in; enter lets it in.
	complete func(*v1.Pod) bool
	enter    func([]*v1.Pod)
	// waiter is any pod of the group that waits, nil if none does any more.
	waiter func(fwk.EntityKey) *v1.Pod
	// looks are the pauses before each look.
	looks []time.Duration

	mu     sync.Mutex
	groups map[fwk.EntityKey]*waitingGroup
}

// waitingGroup is one of them, by any of its pods.
type waitingGroup struct {
	pod *v1.Pod
	// look is the next of looks, for which a timer runs.
	look int
}

// wait notes that a group waits, because of that pod.
func (o *outside) wait(group fwk.EntityKey, pod *v1.Pod) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.groups == nil {
		o.groups = map[fwk.EntityKey]*waitingGroup{}
	}
	if one := o.groups[group]; one != nil {
		one.pod = pod
		return
	}
	o.groups[group] = &waitingGroup{pod: pod}
	o.lookLater(group, 0)
}

// recall has a group looked at again soon, because something happened to it.
func (o *outside) recall(group fwk.EntityKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if one := o.groups[group]; one != nil && one.look > 0 {
		one.look = 0
		o.lookLater(group, 0)
	}
}

func (o *outside) lookLater(group fwk.EntityKey, n int) {
	time.AfterFunc(o.looks[n], func() { o.lookAt(group, n) })
}

// lookAt is the n-th look at a group, unless it was recalled since.
func (o *outside) lookAt(group fwk.EntityKey, n int) {
	o.mu.Lock()
	one := o.groups[group]
	if one == nil || one.look != n {
		o.mu.Unlock()
		return
	}
	pod := one.pod
	o.mu.Unlock()

	// Both ask the scheduler's cache, whose lock is not to be taken under ours. The pod
	// may be gone, and its PodGroup with it, while others of the hierarchy wait; finding
	// another goes over all of them, so it is done at the slowest looks only.
	complete, another := o.complete(pod), pod
	if !complete && n == len(o.looks)-1 {
		another = o.waiter(group)
	}

	o.mu.Lock()
	switch now := o.groups[group]; {
	case complete:
		delete(o.groups, group)
	case now != one || now.look != n: // recalled meanwhile
	case another == nil && one.pod == pod: // and none was refused meanwhile
		delete(o.groups, group)
	default:
		if one.pod == pod {
			one.pod = another
		}
		one.look = min(n+1, len(o.looks)-1)
		o.lookLater(group, one.look)
	}
	o.mu.Unlock()
	if complete {
		o.enter([]*v1.Pod{pod})
	}
}
