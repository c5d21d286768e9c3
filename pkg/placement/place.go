// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"time"

	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Options configures a Placer.
type Options struct {
	// SearchBudget is the maximum number of search steps of a plan.
	SearchBudget int
	// MaxBypass is how long later gangs may be placed while an earlier one waits, before
	// nodes are reserved for the earlier one. It is used only in messages.
	MaxBypass time.Duration
	// Volumes reads the storage objects of the cluster. If it is nil, only the stock
	// filters look at volumes.
	Volumes Volumes
}

// Placer finds nodes for the gangs of one scheduler profile.
type Placer struct {
	handle  fwk.Handle
	profile *cluster.Profile
	options Options
}

// New returns a Placer that plans with the cache of the profile and runs the stock
// filters of the handle.
func New(handle fwk.Handle, profile *cluster.Profile, options Options) *Placer {
	return &Placer{handle: handle, profile: profile, options: options}
}

// Place plans a gang on the nodes of the scheduler's snapshot. It runs the stock filters on
// every node of the plan.
func (p *Placer) Place(ctx context.Context, request gangs.Request, nodes []fwk.NodeInfo) (Outcome, error) {
	cache, err := p.profile.CacheWithLabels(request.Gang.Labels(), len(request.Gang.Groups) > 0, nodes)
	if err != nil {
		return Outcome{}, err
	}
	// 1. Convert the gang to the planner's input.
	if refusal := unknownLevel(request.Gang, cache.LevelNames()); refusal != "" {
		return Outcome{Refusal: refusal}, nil
	}
	repelling, err := p.handle.SnapshotSharedLister().NodeInfos().HavePodsWithRequiredAntiAffinityList()
	if err != nil {
		return Outcome{}, err
	}
	input, refusal := build(&request, cache, nodes, repelling, p.options.Volumes)
	if refusal != nil {
		return *refusal, nil
	}
	// 2. Update the planner's snapshot of the cluster.
	snapshot, err := cache.Refresh(nodes, request.Holds)
	if err != nil {
		return Outcome{}, err
	}
	// 3. Run the planner. It calls the stock filters.
	runs := newDryRuns(ctx, p.handle, input)
	found := proposal{input: input, runs: runs, planner: p.newPlanner(snapshot, runs.fits)}
	found.planner.preferAll, found.planner.capacity = request.PreferAll, p.capacity(cache)
	if err := found.plan(nodes); err != nil {
		return Outcome{}, err
	}
	// 4. Plan again without nodes that are reserved for another gang, if the plan uses
	// some.
	if err := found.avoidReserved(&request, p.options.MaxBypass); err != nil {
		return Outcome{}, err
	}
	return found.outcome(&request.Gang), nil
}

func (p *Placer) newPlanner(snapshot *plan.Snapshot, fits plan.Fits) planner {
	return planner{profile: p.handle.ProfileName(), budget: p.options.SearchBudget, snapshot: snapshot, fits: fits}
}

// capacity returns a function that reads the resources and devices that a node of the
// scheduler's snapshot has in total, used or free, into a Capacity. The function returns
// false if the node or its devices are unknown.
func (p *Placer) capacity(cache *cluster.Cache) func(node string, into *plan.Capacity) bool {
	return func(node string, into *plan.Capacity) bool {
		info, err := p.handle.SnapshotSharedLister().NodeInfos().Get(node)
		return err == nil && cache.Capacity(info, into)
	}
}

// newDryRuns returns a dry run of the stock filters for each role of the input.
func newDryRuns(ctx context.Context, handle fwk.Handle, input *planInput) *dryRuns {
	runs := &dryRuns{ctx: ctx, handle: handle}
	for i := range input.roles {
		role := &input.roles[i]
		runs.roles = append(runs.roles, &dryRun{
			pod: role.filtered, gang: input.gang.Name, alignment: input.alignment, companions: role.companions,
			subrequests: role.subrequests,
		})
	}
	return runs
}
