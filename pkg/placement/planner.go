// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"maps"
	"slices"

	"github.com/dovetail-dev/dovetail/pkg/metrics"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// planner runs plan.Plan, which searches nodes for a gang, possibly several times, on one
// snapshot of the cluster.
type planner struct {
	profile string
	// budget is the maximum number of search steps of one plan. steps counts those of all
	// plans.
	budget, steps int
	snapshot      *plan.Snapshot
	fits          plan.Fits
	// capacity reads what a node has in total of resources and devices, used or free. It
	// is nil if no explanation needs these amounts.
	capacity func(node string, into *plan.Capacity) bool
	// preferAll makes the method best try to place all members before it tries a quorum
	// (only as many as must start together).
	preferAll bool
}

// answer is a decision with the gang that was given to plan.Plan.
type answer struct {
	gang     plan.Gang
	decision plan.Decision
}

// plan runs the planner. Volumes may be a pool (items of which each member takes some)
// with AnyOrder: whatever order the members come in, each must find a volume. If there is
// no such placement, plan accepts one in which some order works: the stock filters decide
// when the members are scheduled.
func (p *planner) plan(gang plan.Gang) answer {
	found := p.planOnce(gang)
	if found.decision.Placed || !slices.ContainsFunc(gang.Pools, func(p plan.Pool) bool { return p.AnyOrder }) {
		return found
	}
	fortunate := gang
	fortunate.Pools = slices.Clone(gang.Pools)
	for i := range fortunate.Pools {
		fortunate.Pools[i].AnyOrder = false
	}
	return p.planOnce(fortunate)
}

// planOnce runs the planner once and counts the planner's work in the metrics.
func (p *planner) planOnce(gang plan.Gang) answer {
	decision := plan.Plan(p.snapshot, gang, p.fits, plan.Options{Budget: p.budget, Capacity: p.capacity})
	p.steps += decision.Stats.Steps
	metrics.Work(p.profile, decision.Stats.FitsCalls, decision.Stats.NodesTouched)
	return answer{gang: gang, decision: decision}
}

// best runs the planner. If preferAll is set and some part of the gang must be in one
// topology domain, best first requires room for all members. If there is none, it requires
// room for a quorum only.
func (p *planner) best(gang plan.Gang) answer {
	if p.preferAll && confined(&gang) {
		if all, more := requireAll(gang); more {
			if found := p.plan(all); found.decision.Placed {
				return found
			}
		}
	}
	return p.plan(gang)
}

// confined reports whether some part of the gang must be in one topology domain.
func confined(gang *plan.Gang) bool {
	return gang.Required != "" || slices.ContainsFunc(gang.Groups, func(g plan.Group) bool { return g.Required != "" }) ||
		slices.ContainsFunc(gang.Roles, func(r plan.Role) bool { return r.Required != "" })
}

// requireAll returns the gang with all its members in the quorum. more is false if they
// were in the quorum already.
func requireAll(gang plan.Gang) (all plan.Gang, more bool) {
	gang.Roles, gang.Groups = slices.Clone(gang.Roles), slices.Clone(gang.Groups)
	gang.Min, gang.MinGroups = 0, 0
	for i := range gang.Roles {
		role := &gang.Roles[i]
		more = more || role.Min < len(role.Members)
		role.Min = len(role.Members)
	}
	for i := range gang.Groups {
		gang.Groups[i].Min, gang.Groups[i].MinGroups = 0, 0
	}
	return gang, more
}

// withoutNodes returns the gang with these nodes excluded for each role for which applies
// returns true.
func withoutNodes(gang plan.Gang, nodes []string, applies func(role string) bool) plan.Gang {
	gang.Roles = slices.Clone(gang.Roles)
	for i := range gang.Roles {
		role := &gang.Roles[i]
		if !applies(role.Name) {
			continue
		}
		limit := make(map[string]int, len(nodes)+len(role.Limit))
		maps.Copy(limit, role.Limit)
		for _, node := range nodes {
			limit[node] = 0
		}
		role.Limit = limit
	}
	return gang
}

func everyRole(string) bool { return true }
