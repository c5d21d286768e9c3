// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"cmp"
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// cyclePlan is the plan of a PodGroup cycle. Only that cycle uses it, one extension point
// after the other.
type cyclePlan struct {
	request gangs.Request
	// stock is set if there is nothing to plan: the pods take ordinary cycles.
	stock bool
	// assignment has the planned nodes of the members, none if there is no plan.
	assignment gangs.Assignment
	// refusal is the reason why there is no plan. surplus is the reason why the plan has
	// no node for some members.
	refusal, surplus string
	// answer has the details of the refusal; nodes are the nodes that were searched.
	answer gangstate.Answer
	nodes  []fwk.NodeInfo
	// status is the refusal that the cycle got instead of nodes; fit is its error.
	status *fwk.Status
	fit    *framework.FitError
	// placed is set if a member left the cycle for binding.
	placed bool
	// tried are the members whose cycle began, in order; reserved has the members with a
	// reserved node.
	tried    []types.UID
	reserved map[types.UID]bool
}

const (
	// planKey is the key of the plan in a group's cycle state, memberPlanKey in a planned
	// member's.
	planKey       fwk.StateKey = "Gang/podgroup"
	memberPlanKey fwk.StateKey = "Gang/podgroup-member"
)

// Clone returns p: a cycle has only one plan.
func (p *cyclePlan) Clone() fwk.StateData { return p }

// planOf returns the plan of the cycle, nil if there is none. In a hierarchy of groups,
// the cycle state of the topmost group has the plan.
func planOf(state fwk.PodGroupCycleState) *cyclePlan {
	for state != nil {
		if data, err := state.Read(planKey); err == nil {
			p, _ := data.(*cyclePlan)
			return p
		}
		parent := state.GetParentPlacementCycleState()
		if parent == nil {
			return nil
		}
		state = parent.GetPodGroupSchedulingCycle()
	}
	return nil
}

// memberPlan returns the plan that assigns the cycle's pod to a node, nil if there is none.
func memberPlan(state fwk.CycleState) *cyclePlan {
	data, err := state.Read(memberPlanKey)
	if err != nil {
		return nil
	}
	p, _ := data.(*cyclePlan)
	return p
}

// key returns the key of the planned gang.
func (p *cyclePlan) key() gangs.Key { return p.request.Gang.Key }

// why returns the reason, in a sentence, why members have no node.
func (p *cyclePlan) why() string {
	return cmp.Or(p.refusal, p.surplus, "gang "+p.key().String()+" is placed without this member, which is tried again")
}

// instructions returns the plan for one member, in the form for plugins that run later in
// the cycle.
func (p *cyclePlan) instructions(uid types.UID) cluster.Planned {
	planned := cluster.Planned{
		Node: p.assignment.Nodes[uid], Rail: -1, Subrequests: p.assignment.Subrequests[uid],
		Gang: p.key().String(), Alignment: p.assignment.Alignment,
	}
	if rail, ok := p.assignment.Rails[uid]; ok {
		planned.Rail = rail
	}
	return planned
}

// refusedMember is a member whose planned node a filter refused.
type refusedMember struct {
	gangstate.RefusedMember
	pod string
	// stuck is set if no other plan would help: this member, and all others planned on
	// the node, have claims whose allocated devices are on that node.
	stuck bool
}

// refusedMember returns the first member whose cycle began and that has no reserved node.
func (p *cyclePlan) refusedMember() (refusedMember, bool) {
	for _, uid := range p.tried {
		if p.reserved[uid] {
			continue
		}
		m := refusedMember{pod: p.nameOf(uid)}
		m.Node, m.Role = p.assignment.Nodes[uid], p.assignment.Roles[uid]
		m.Sentence = p.key().Messagef("node %s refused member %s", m.Node, m.pod)
		counts := map[gangs.ConflictTerm]int{}
		for other := range p.reserved {
			counts[gangs.ConflictTerm{Role: p.assignment.Roles[other], Node: p.assignment.Nodes[other]}]++
		}
		m.Held, m.Others = gangstate.SplitHeld(counts, m.Role, m.Node)
		m.stuck = p.assignment.Pinned[uid]
		for other, node := range p.assignment.Nodes {
			m.stuck = m.stuck && (node != m.Node || p.assignment.Pinned[other])
		}
		return m, true
	}
	return refusedMember{}, false
}

// nameOf returns the name of a member.
func (p *cyclePlan) nameOf(uid types.UID) string {
	for _, m := range p.request.Members {
		if m.Pod.UID == uid {
			return m.Pod.Name
		}
	}
	return ""
}

// plan finds nodes for the members of a request. The result has the nodes, or the reason
// why there are none.
func (c *Cycle) plan(ctx context.Context, request gangs.Request, nodes []fwk.NodeInfo) (*cyclePlan, error) {
	start := time.Now()
	p := &cyclePlan{request: request, nodes: nodes, reserved: map[types.UID]bool{}}
	if p.stock = leftToStock(request.Gang); p.stock {
		return p, nil
	}
	if p.refusal = c.Tracker.BeginPodGroupCycle(&p.request, start); p.refusal != "" {
		p.answer.Refusal = p.refusal
		return p, nil
	}
	outcome, err := c.Placer.Place(ctx, p.request, nodes)
	c.Tracker.NotePodGroupPlan(start, time.Now())
	if err != nil {
		metrics.Planned(c.Handle.ProfileName(), metrics.PlanError, time.Since(start))
		return nil, err
	}
	if !outcome.Placed {
		metrics.Planned(c.Handle.ProfileName(), metrics.PlanRefused, time.Since(start))
		p.refusal = outcome.Refusal
		p.answer = gangstate.Answer{
			Refusal: outcome.Refusal, HeldBack: outcome.HeldBack, Searched: outcome.Searched, Temporary: outcome.Temporary,
			Began: start,
		}
		c.Logger.V(2).Info("Gang cannot be placed", "gang", p.key(), "reason", p.refusal)
		return p, nil
	}
	metrics.Planned(c.Handle.ProfileName(), metrics.PlanPlaced, time.Since(start))
	p.assignment, p.surplus = outcome.Assignment, outcome.Surplus
	c.Logger.V(2).Info("Gang planned", "gang", p.key(), "members", len(p.assignment.Nodes), "domain", p.assignment.Domain, "lessons", outcome.Lessons)
	return p, nil
}

// leftToStock reports whether the gang has no constraint across members: each member may
// use any node, and any number may run.
func leftToStock(g gangs.Gang) bool {
	return g.Min <= 1 && g.MinField == "" && len(g.Groups) == 0 && g.Topology == (gangs.Topology{}) && g.Problem == ""
}
