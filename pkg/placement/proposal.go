// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// proposal is the planner's answer before its conversion to an Outcome.
type proposal struct {
	request *gangs.Request
	// maxBypass, for a message, is how long a gang may be bypassed by later gangs before
	// nodes are reserved for it.
	maxBypass time.Duration
	input     *planInput
	planner   planner
	runs      *dryRuns
	answer    answer
	// unreachable is the sentence about a shared claim if the nodes that can use the
	// claim's devices have no room for the gang.
	unreachable string
	// nodes are all nodes of the scheduler's snapshot.
	nodes []fwk.NodeInfo
	// heldBack is the sentence about nodes reserved for another gang, "" if these do not
	// matter.
	heldBack string
	// proof runs the filters with all members placed. It is nil if the filters could find
	// nothing new.
	proof *proof
	// gaveUp is the sentence about a search that ended without an answer after the proof has
	// refused plans, otherwise "".
	gaveUp string
}

// plan runs the planner. If a shared claim has zones (sets of nodes that can use its
// devices), it runs the planner once for each zone. If the plan uses nodes that are
// reserved for another gang, it runs the planner again without these.
func (p *proposal) plan() (err error) {
	p.answer, p.unreachable, err = p.input.zones.best(&p.planner, p.input.planGang(), p.nodes)
	if err := cmp.Or(err, p.runs.err); err != nil {
		return err
	}
	return p.avoidReserved()
}

// avoidReserved runs the planner again without the nodes reserved for another gang if the
// plan uses some of them. If there is then no placement, it sets heldBack.
func (p *proposal) avoidReserved() error {
	request := p.request
	p.heldBack = ""
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
	p.answer = p.planner.plan(withinSpare(p.answer.gang, request, p.input.cache))
	if !p.answer.decision.Placed {
		p.heldBack = request.Gang.Key.Messagef("held back: %s reserved for %s, which has been bypassed longer than maxBypass (%v)",
			shareOf(taken, used.Len()), request.Holder, p.maxBypass)
	}
	return p.runs.err
}

// shareOf returns the start of a sentence about some nodes of a plan, for example "1 of
// its 4 nodes is".
func shareOf(taken, all int) string {
	switch {
	case all == 1:
		return "its only node is"
	case taken == 1:
		return fmt.Sprintf("1 of its %d nodes is", all)
	}
	return fmt.Sprintf("%d of its %d nodes are", taken, all)
}

// outcome converts the planner's answer to an Outcome, with sentences for users.
func (p *proposal) outcome(gang *gangs.Gang) Outcome {
	decision := &p.answer.decision
	cluster.FormatAmounts(decision)
	p.input.dropRole(decision)
	explainNodes(p.input.roles, decision, p.runs)
	explainFilters(decision, p.answer.gang.Roles, func(role int) filterRefusals { return p.runs.roles[role].refused })
	if decision.Placed && p.gaveUp == "" {
		return Outcome{Searched: true, Placed: true, Assignment: p.input.assignment(&p.answer), Surplus: surplus(gang, decision)}
	}
	mistake := unmatchedNodes(gang.Key, p.input.roles, decision, p.nodes)
	refusal := cmp.Or(p.runs.preFilterRefusal(gang.Key), mistake, p.heldBack, p.gaveUp, p.unreachable,
		decision.Why()+describeAlternative(decision, p.input.roles)+describeColocated(p.input.colocated)+p.input.exclusive)
	return Outcome{Searched: true, Refusal: refusal, HeldBack: p.heldBack != ""}
}

// dropRole leaves the name of the role out of the sentences of a decision if the gang has
// only one role, even if that became several roles of the planner.
func (p *planInput) dropRole(decision *plan.Decision) {
	differs := func(r roleInput) bool { return r.base != p.roles[0].base }
	if slices.ContainsFunc(p.roles, differs) {
		return
	}
	for i := range decision.Reasons {
		decision.Reasons[i].ManyRoles = false
	}
}
