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
	// Namespaces lists the namespaces that a label selector selects. If it is nil, only the
	// stock filters judge affinity terms with a selector of namespaces.
	Namespaces Namespaces
	// UnknownFilters reports whether the profile has Filter plugins that are neither stock
	// ones nor of this project. They may refuse a member because of any other member. Nil
	// means that there are none.
	UnknownFilters func() bool
}

// Placer finds nodes for the gangs of one scheduler profile.
type Placer struct {
	handle  fwk.Handle
	profile *cluster.Profile
	options Options
}

// New returns a Placer that plans with the profile's cache of nodes and runs the stock
// filters of the handle.
func New(handle fwk.Handle, profile *cluster.Profile, options Options) *Placer {
	return &Placer{handle: handle, profile: profile, options: options}
}

// Place plans a gang on the nodes of the scheduler's snapshot. It runs the stock filters on
// every node of the plan. If Request.Limits (the most members that a node takes, guessed
// from earlier refusals) leave no placement, it plans without them: they may exclude more
// than the filters have refused. It does so only if the planner can use Request.Conflicts,
// the exact combinations of members and nodes that the filters refused, in their place.
func (p *Placer) Place(ctx context.Context, request gangs.Request, nodes []fwk.NodeInfo) (Outcome, error) {
	outcome, complete, err := p.place(ctx, request, nodes)
	if err != nil || outcome.Placed || !outcome.Searched || len(request.Limits) == 0 || !complete {
		return outcome, err
	}
	request.Limits = nil
	outcome, _, err = p.place(ctx, request, nodes)
	return outcome, err
}

// place plans a gang once. complete is true if the planner got all of Request.Conflicts
// (combinations of members and nodes that filters refused).
func (p *Placer) place(ctx context.Context, request gangs.Request, nodes []fwk.NodeInfo) (outcome Outcome, complete bool, err error) {
	cache, err := p.profile.CacheWithLabels(request.Gang.Labels(), len(request.Gang.Groups) > 0, nodes)
	if err != nil {
		return Outcome{}, false, err
	}
	// 1. Convert the gang to the planner's input.
	if refusal := unknownLevel(request.Gang, cache.LevelNames()); refusal != "" {
		return Outcome{Refusal: refusal}, false, nil
	}
	repelling, err := p.handle.SnapshotSharedLister().NodeInfos().HavePodsWithRequiredAntiAffinityList()
	if err != nil {
		return Outcome{}, false, err
	}
	input, refusal := build(&request, cache, nodes, repelling, objects{p.options.Volumes, p.options.Namespaces})
	if refusal != nil {
		return *refusal, false, nil
	}
	// 2. Update the planner's snapshot of the cluster.
	snapshot, err := cache.Refresh(nodes, request.Holds)
	if err != nil {
		return Outcome{}, false, err
	}
	// 3. Run the planner. It calls the stock filters.
	runs := newDryRuns(ctx, p.handle, input)
	found := proposal{input: input, runs: runs, planner: p.newPlanner(snapshot, runs.fits), nodes: nodes}
	found.planner.preferAll, found.planner.capacity = request.PreferAll, p.capacity(cache)
	found.request, found.maxBypass = &request, p.options.MaxBypass
	if err := found.plan(); err != nil {
		return failed(&request.Gang, err)
	}
	// 4. Run the stock filters with all members placed. Plan again without what they refuse.
	found.proof = newProof(runs, input, nodes, p.options.UnknownFilters != nil && p.options.UnknownFilters())
	if err := found.prove(); err != nil {
		return failed(&request.Gang, err)
	}
	outcome = found.outcome(&request.Gang)
	if found.proof != nil {
		outcome.Lessons = found.proof.refusals
	}
	return outcome, input.conflictsKept, nil
}

// failed returns the result of a plan that ended with an error. Slow filters are a refusal:
// after an error the next member's cycle would plan the gang again at once.
func failed(gang *gangs.Gang, err error) (Outcome, bool, error) {
	if Slow(err) {
		return Outcome{Refusal: gang.Key.Messagef("%v", err), Temporary: true}, false, nil
	}
	return Outcome{}, false, err
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

// newDryRuns prepares a dry run of the stock filters for each role of the input. The filters
// run when the planner asks for a node.
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
