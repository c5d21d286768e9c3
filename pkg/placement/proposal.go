// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Outcome is the result of planning a gang.
type Outcome struct {
	// Placed reports whether Assignment has a node for each member of the quorum.
	Placed     bool
	Assignment gangs.Assignment
	// Surplus is the sentence about members beyond the quorum without a node, "" if all
	// have one.
	Surplus string
	// Refusal is the sentence that explains why the gang is not placed.
	Refusal string
	// HeldBack is true if only another gang's reservation prevented the placement.
	HeldBack bool
	// Searched is true if the planner ran. Otherwise Refusal is about the request itself.
	Searched bool
}

// proposal is a plan before its conversion to an Outcome.
type proposal struct {
	input   *planInput
	planner planner
	runs    *dryRuns
	answer  answer
	// unreachable is the sentence about a shared claim without room for the gang.
	unreachable string
	// nodes are all nodes.
	nodes []fwk.NodeInfo
	// heldBack is the sentence about nodes reserved for another gang.
	heldBack string
}

// plan runs the planner for the first time.
func (p *proposal) plan(nodes []fwk.NodeInfo) (err error) {
	p.nodes = nodes
	p.answer, p.unreachable, err = p.input.zones.best(&p.planner, p.input.planGang(), nodes)
	return cmp.Or(err, p.runs.err)
}

// avoidReserved runs the planner again without reserved nodes if the plan uses some. If the
// gang has no place without them, it is held back.
func (p *proposal) avoidReserved(request *gangs.Request, maxBypass time.Duration) error {
	used, taken := sets.New[string](), 0
	for _, a := range p.answer.decision.Assignments {
		if request.Reserved[a.Node] && !used.Has(a.Node) {
			taken++
		}
		used.Insert(a.Node)
	}
	if !p.answer.decision.Placed || taken == 0 {
		return nil
	}
	reserved := slices.Collect(maps.Keys(request.Reserved))
	p.answer = p.planner.plan(withoutNodes(p.answer.gang, reserved, everyRole))
	if !p.answer.decision.Placed {
		p.heldBack = request.Gang.Key.Messagef("held back: %s reserved for %s, which has been bypassed longer than maxBypass (%v)",
			shareOf(taken, used.Len()), request.Holder, maxBypass)
	}
	return p.runs.err
}

// shareOf returns the subject of a sentence about a number of nodes of a plan.
func shareOf(taken, all int) string {
	switch {
	case all == 1:
		return "its only node is"
	case taken == 1:
		return fmt.Sprintf("1 of its %d nodes is", all)
	}
	return fmt.Sprintf("%d of its %d nodes are", taken, all)
}

// outcome converts the planner's answer.
func (p *proposal) outcome(gang *gangs.Gang) Outcome {
	decision := &p.answer.decision
	cluster.FormatAmounts(decision)
	p.input.dropRole(decision)
	explainNodes(p.input.roles, decision, p.runs)
	explainFilters(decision, p.answer.gang.Roles, func(role int) filterRefusals { return p.runs.roles[role].refused })
	if decision.Placed {
		return Outcome{Searched: true, Placed: true, Assignment: p.input.assignment(&p.answer), Surplus: surplus(gang, decision)}
	}
	mistake := unmatchedNodes(gang.Key, p.input.roles, decision, p.nodes)
	refusal := cmp.Or(p.runs.preFilterRefusal(gang.Key), mistake, p.heldBack, p.unreachable,
		decision.Why()+describeAlternative(decision, p.input.roles)+describeColocated(p.input.colocated)+p.input.exclusive)
	return Outcome{Searched: true, Refusal: refusal, HeldBack: p.heldBack != ""}
}

// dropRole leaves the role out of the sentence if the gang has one role, of which the
// planner's roles are parts.
func (p *planInput) dropRole(decision *plan.Decision) {
	differs := func(r roleInput) bool { return r.base != p.roles[0].base }
	if slices.ContainsFunc(p.roles, differs) {
		return
	}
	for i := range decision.Reasons {
		decision.Reasons[i].ManyRoles = false
	}
}
