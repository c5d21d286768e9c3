// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

const (
	// releasePeriod is the interval at which release looks for waiting members of a failed
	// attempt to reserve the nodes of a plan. A member enters the scheduler's list of waiting
	// pods only after Permit has returned, so a single look could miss it.
	releasePeriod = 5 * time.Millisecond
	// clockPeriod is the interval between checks whether healAfter (before a gang that lost
	// members moves) or maxBypass (before nodes are reserved for a bypassed gang) has passed:
	// no event reports that time has passed.
	clockPeriod = time.Second
)

// apply carries out the effects of a state change. To activate pods it takes the queue's lock,
// and to find waiting PodGroups the lock of the scheduler's cache.
func (g *Gang) apply(effects gangstate.Effects) {
	if attempt := effects.Release; attempt != nil {
		go g.release(attempt)
	}
	for _, uid := range effects.Allow {
		g.allow(uid)
	}
	g.activate(effects.Activate)
	if effects.RetryAfter > 0 {
		key := effects.Key
		time.AfterFunc(effects.RetryAfter, func() { g.apply(g.tracker.Retry(key, time.Now())) })
	}
	if effects.Reserved > 0 {
		g.logger.V(2).Info("Nodes are reserved for a gang that others bypassed", "gang", effects.Key, "nodes", effects.Reserved)
	}
	if effects.Clear {
		g.room.Continue(g.background, effects.Key)
	}
	for _, key := range effects.Evicting {
		g.logger.V(2).Info("Evicting what is left of a gang below its minimum", "gang", key)
		g.report.Evicting(key)
	}
	if effects.Report {
		g.report.Later(effects.Key)
	}
	if effects.ActivatePodGroups && g.Cycle != nil {
		g.Cycle.ActivateAll()
	}
}

// activate moves pods to the active queue.
func (g *Gang) activate(pods []*v1.Pod) {
	if len(pods) > 0 {
		g.handle.Activate(g.logger, cluster.ByName(pods...))
	}
}

// allow lets a member bind that waits in Permit.
func (g *Gang) allow(uid types.UID) {
	if waiting := g.handle.GetWaitingPod(uid); waiting != nil {
		waiting.Allow(Name)
	}
}

// release rejects the members of a failed attempt that wait in Permit, until none holds a
// node. The rejection runs Unreserve, which removes the member from the attempt.
func (g *Gang) release(attempt *gangstate.Attempt) {
	for {
		holders, reason := g.tracker.Holders(attempt)
		if len(holders) == 0 {
			break
		}
		for _, uid := range holders {
			if waiting := g.handle.GetWaitingPod(uid); waiting != nil {
				waiting.Reject(Name, "gang "+attempt.Key.String()+" gives back its places: "+reason)
			}
		}
		time.Sleep(releasePeriod)
	}
	g.apply(g.tracker.Released(attempt, time.Now()))
}

// watchClock reads from the API server the members of which it is unknown whether they are
// bound, ends attempts (to reserve the nodes of a plan) that have stalled, evicts members of
// gangs that must move, and passes the time to the tracker of the gangs' states, every
// clockPeriod.
func (g *Gang) watchClock(ctx context.Context) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		now := time.Now()
		g.readUnknown(ctx)
		for _, effects := range g.tracker.EndStalled(now) {
			g.apply(effects)
		}
		g.evictDue(ctx, now)
		g.room.Tick(ctx)
		g.apply(g.tracker.Tick(now))
	}, clockPeriod)
}

// recoverTimeout limits the wait for the first full view of the cluster: an unreadable kind
// of object must not block all gangs.
const recoverTimeout = 10 * time.Second

// recoverOnce runs in the profile's first cycle. It waits until the tracker of the gangs'
// states knows all existing pods and objects that declare gangs. Then it plans the gangs that a
// crash left partly bound, before any other gang can take the room they need.
func (g *Gang) recoverOnce(ctx context.Context, nodes []fwk.NodeInfo) {
	g.recovered.Do(func() {
		err := wait.PollUntilContextTimeout(ctx, releasePeriod, recoverTimeout, true,
			func(context.Context) (bool, error) { return g.synced(), nil })
		if err != nil {
			g.logger.Info("Not all objects that declare gangs could be listed in time; going on without them", "timeout", recoverTimeout)
		}
		for _, key := range g.tracker.PartialGangs(time.Now()) {
			if err := g.planPartial(ctx, key, nodes); err != nil {
				g.logger.Error(err, "Could not plan a gang that is bound in part", "gang", key)
			}
			// Have a gang without room planned again later: its members are in the active
			// queue, where they get no hints about events.
			g.apply(g.tracker.RetryOthers(key, gangstate.Event{}, time.Now()))
		}
		if g.podGroups != nil {
			g.podGroups.Recover(ctx, nodes)
		}
	})
}

// planUnfinished plans the remaining members of gangs that are below their minimum because
// bindings failed, before another gang or pod takes the room that they need.
func (g *Gang) planUnfinished(ctx context.Context, unfinished []gangs.Key, nodes []fwk.NodeInfo) {
	for _, key := range unfinished {
		if err := g.planPartial(ctx, key, nodes); err != nil {
			g.logger.Error(err, "Could not plan the rest of a gang that is bound in part", "gang", key)
		}
	}
}

// planPartial plans a partly bound gang outside a member's cycle.
func (g *Gang) planPartial(ctx context.Context, key gangs.Key, nodes []fwk.NodeInfo) error {
	began := time.Now()
	step := g.tracker.Ask(key, began)
	if step.Plan != nil {
		answer, err := g.plan(ctx, step.Plan, nodes)
		if err != nil {
			return err
		}
		step = g.tracker.Resolve(step.Plan, &answer, "", time.Now())
	}
	g.applyStep(key, &step, began)
	return nil
}
