// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Reserve returns the nodes to reserve for the gang: those on which it can start first if the
// pods of this scheduler end when they are expected to. If it fits at no such time, or no times
// are known, Reserve returns nodes of NodesToReserve, without a Start.
func (p *Placer) Reserve(ctx context.Context, request gangs.Request, nodes []fwk.NodeInfo, ends gangs.Forecast) (gangs.Reservation, error) {
	if ends.Of != nil {
		if r, err := p.firstStart(ctx, request, nodes, ends); err != nil || r.Nodes != nil {
			return r, err
		}
	}
	found, err := p.NodesToReserve(ctx, request, nodes)
	return gangs.Reservation{Nodes: found}, err
}

// firstStart returns the nodes on which the gang can start first. The planner counts what each
// pod gives back at its end. The stock filters judge the nodes as if all these pods had ended:
// they run for one cluster only.
func (p *Placer) firstStart(ctx context.Context, request gangs.Request, nodes []fwk.NodeInfo, ends gangs.Forecast) (gangs.Reservation, error) {
	cache, err := p.profile.CacheWithLabels(request.Gang.Labels(), len(request.Gang.Groups) > 0, nodes)
	if err != nil {
		return gangs.Reservation{}, err
	}
	_, gone := podsOfScheduler(p.handle.ProfileName(), nodes)
	_, infos, err := cache.Without(nodes, gone)
	if err != nil {
		return gangs.Reservation{}, err
	}
	request.Placed, request.Limits, request.Conflicts = nil, nil, nil
	input, refusal := build(&request, cache, infos, infos, objects{withoutAttachments(p.options.Volumes), p.options.Namespaces})
	if refusal != nil {
		return gangs.Reservation{}, nil
	}
	snapshot, err := cache.Refresh(nodes, request.Holds)
	if err != nil {
		return gangs.Reservation{}, err
	}
	runs := newDryRuns(ctx, p.handle, input)
	if runs.emptied, err = newEmptied(infos, gone); err != nil {
		return gangs.Reservation{}, err
	}
	occupants, predicted := occupantsUntil(ends, gone, cache)
	fits := func(_ []int, role int, node string, already int) bool { return runs.fits(role, node, already) }
	found := plan.Reserve(snapshot, input.planGang(), occupants, fits, plan.Options{Budget: p.options.SearchBudget})
	if runs.err != nil || !found.Decision.Placed || found.Start == 0 {
		return gangs.Reservation{}, runs.err
	}
	r := gangs.Reservation{Nodes: map[string]bool{}, Start: ends.Now.Add(time.Duration(found.Start) * time.Second), Spare: map[string]gangs.Capacity{}}
	for _, a := range found.Decision.Assignments {
		r.Nodes[a.Node] = true
	}
	r.Predicted = slices.ContainsFunc(occupants, func(o plan.Occupant) bool {
		return predicted[o.Name] && o.Ends <= found.Start && slices.ContainsFunc(o.Uses, func(u plan.Usage) bool { return r.Nodes[u.Node] })
	})
	for i := range found.Spare {
		r.Spare[found.Spare[i].Node] = cache.Named(&found.Spare[i])
	}
	return r, nil
}

// occupantsUntil returns the sets of pods that end together, with their ends in seconds from
// now, at least 1. predicted has the names of those whose end is a prediction.
func occupantsUntil(ends gangs.Forecast, pods []*v1.Pod, cache *cluster.Cache) (all []plan.Occupant, predicted map[string]bool) {
	bySet, predicted := map[string]*plan.Occupant{}, map[string]bool{}
	for _, pod := range pods {
		set, at, guess := ends.Of(pod)
		o := bySet[set]
		if o == nil {
			o = &plan.Occupant{Name: set}
			bySet[set] = o
		}
		o.Ends = max(1, o.Ends, int64((at.Sub(ends.Now)+time.Second-1)/time.Second))
		predicted[set] = predicted[set] || guess
		o.Uses = append(o.Uses, cache.UsageOf(pod, pod.Spec.NodeName))
	}
	for _, set := range slices.Sorted(maps.Keys(bySet)) {
		all = append(all, *bySet[set])
	}
	return all, predicted
}

// withinSpare returns the gang with limits on the reserved nodes: members may use there only
// what is spare. The planner limits each role alone, so only gangs with one role may use any of
// it.
func withinSpare(gang plan.Gang, request *gangs.Request, cache *cluster.Cache) plan.Gang {
	limited := withoutNodes(gang, slices.Collect(maps.Keys(request.Reserved)), everyRole)
	if len(gang.Roles) > 1 {
		return limited
	}
	role, own := &limited.Roles[0], gang.Roles[0].Limit
	for node, spare := range request.Spare {
		most := cache.Times(&role.Need, &spare)
		if before, ok := own[node]; ok {
			most = min(most, before)
		}
		role.Limit[node] = most
	}
	return limited
}
