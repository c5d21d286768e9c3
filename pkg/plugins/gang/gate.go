// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// GateName is the name of the plugin GangGate in a profile.
const GateName = "GangGate"

// Gate keeps a pod out of the queue until its gang's quorum (the members that must start
// together) exists.
//
// It is a separate plugin to reduce queueing hints. The queue evaluates hints for the
// events of the plugin that keeps a pod out, for the pod and for all other pods of its
// PodGroup. The plugin Gang registers many events, and the in-tree GangScheduling registers every
// added or bound pod. With either, a group of n pods costs n² hints. This plugin registers
// few events: it sees in the pod informer that a quorum is complete, and activates the
// members.
type Gate struct{ gang *Gang }

var (
	_ fwk.PreEnqueuePlugin  = (*Gate)(nil)
	_ fwk.EnqueueExtensions = (*Gate)(nil)
)

// Gates connects Gate and Gang of each profile. The framework makes them in no stated
// order, and before it schedules any pod. All profiles share one limit on concurrent
// bindings.
type Gates struct {
	mu        sync.Mutex
	byProfile map[string]*gateway
	bindings  *semaphore.Weighted
}

type gateway struct {
	gang *Gang
	gate *Gate
}

func (g *Gates) enter(profile string, made gateway) {
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
	if made.gang != nil {
		known.gang, made.gang.bindings = made.gang, g.bindings
	}
	if made.gate != nil {
		known.gate = made.gate
	}
	if known.gang != nil && known.gate != nil {
		known.gate.gang, known.gang.gated = known.gang, true
	}
}

// NewGate makes the plugin GangGate for one profile. The plugin does nothing if the
// profile does not have the plugin Gang.
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
	if p.gang.Cycle != nil && gangs.InPodGroup(pod) {
		return p.gang.Cycle.Gate().PreEnqueue(ctx, pod)
	}
	return p.gang.admit(pod)
}

// EventsToRegister returns the events that may complete a PodGroup's quorum.
func (p *Gate) EventsToRegister(ctx context.Context) ([]fwk.ClusterEventWithHint, error) {
	if p.gang == nil || p.gang.Cycle == nil {
		return nil, nil
	}
	return p.gang.Cycle.Gate().EventsToRegister(ctx)
}

// PreEnqueue keeps a pod out of the queue until its gang's quorum exists. It does nothing
// if the profile has GangGate.
func (g *Gang) PreEnqueue(_ context.Context, pod *v1.Pod) *fwk.Status {
	if g.gated {
		return nil
	}
	return g.admit(pod)
}

// admit decides in PreEnqueue whether a pod may enter the queue: its gang's quorum must
// exist. It is not for pods that name a PodGroup of scheduling.k8s.io.
func (g *Gang) admit(pod *v1.Pod) *fwk.Status {
	key, ok := g.sources.Key(pod)
	if !ok {
		return nil
	}
	if g.tracker.Admit(key, pod) {
		if g.namesMissingClaim(pod) != "" {
			g.report.Later(key)
		}
		return nil
	}
	g.report.Later(key)
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "waiting for "+key.String())
}
