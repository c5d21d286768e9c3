// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

const (
	// firstShare is a divisor of the search budget (a number of steps): the first plan is
	// charged at most this part. The planner may use the whole budget to show that the first
	// plan is the cheapest, and steps must remain to search for a plan that the filters
	// accept.
	firstShare = 2
	// roundShare is a divisor of the remaining budget: each further plan may use this part.
	// If the planner finds no placement with it, it may use all that remains.
	roundShare = 8
)

// prove runs the filters over the plan with all members placed. While the filters refuse a
// member, prove plans again, within the search budget, with the conflicts (combinations of
// members and nodes to avoid) learned from the refusals. If the budget ends before any
// refusal, the filters test the remaining members in the members' own scheduling cycles. If
// it ends later, or the refusals give no new conflict, prove gives up.
func (p *proposal) prove() error {
	if p.proof == nil || !p.answer.decision.Placed {
		return nil
	}
	budget := cmp.Or(p.planner.budget, plan.DefaultBudget)
	p.proof.steps = budget - min(p.planner.steps, budget/firstShare)
	for p.answer.decision.Placed {
		learned, err := p.proof.run(&p.answer.decision)
		if err != nil {
			return err
		}
		switch ended := p.proof.steps <= 0; {
		case !p.proof.refused && (!ended || p.proof.tried == 0):
			return nil
		case ended || len(learned) == 0:
			p.giveUp()
			return nil
		}
		p.input.gang.Conflicts = append(p.input.gang.Conflicts, learned...)
		if err := p.planAgain(); err != nil {
			return err
		}
	}
	if p.answer.decision.Exhausted || p.proof.unsure {
		p.giveUp()
	}
	return nil
}

// planAgain runs the planner with a part of the remaining search budget. If that gives no
// answer, it runs the planner with all of the remaining budget.
func (p *proposal) planAgain() error {
	for _, share := range []int{roundShare, 1} {
		before := p.planner.steps
		p.planner.budget = max(1, p.proof.steps/share)
		if err := p.plan(); err != nil {
			return err
		}
		p.proof.steps -= p.planner.steps - before
		if p.answer.decision.Placed || !p.answer.decision.Exhausted || p.proof.steps <= 0 {
			return nil
		}
	}
	return nil
}

// giveUp sets the sentence about a search that has found no placement and has not shown that
// there is none.
func (p *proposal) giveUp() {
	p.gaveUp = p.proof.gaveUp(p.request.Gang.Key, p.proof.steps <= 0 || p.answer.decision.Exhausted)
}

// gaveUp describes the search: how many plans the filters refused, and the last refusal.
// ended is true if the search ended because of its budget.
func (p *proof) gaveUp(gang gangs.Key, ended bool) string {
	why := "other placements may exist"
	if ended {
		why = "raise searchBudget"
	}
	last, refusal := p.newest.member, p.newest.refusal
	return gang.Messagef("the search gave up after %s with %s, the last by %s of pod %s on node %s%s: %q; %s",
		plan.Count(p.tried, "plan"), plan.Count(p.refusals, "refusal"), refusal.plugin, last.pod.Name, last.node,
		besides(p.newest.others, last.node), shortened(refusal.message), why)
}

// maxBeside is the maximum number of other members that the sentence about a refusal names.
const maxBeside = 3

// besides names the members beside which a member was refused on a node: " beside a and b on
// node n".
func besides(members []*plannedMember, node string) string {
	if len(members) == 0 {
		return ""
	}
	var names []string
	for _, m := range members[:min(len(members), maxBeside)] {
		name := m.pod.Name
		if m.node != node {
			name += " on node " + m.node
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if more := len(members) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	if last := len(names) - 1; last > 0 {
		return " beside " + strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return " beside " + names[0]
}
