// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"slices"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// proof runs the filters over a whole plan before any member is reserved: for each member on
// its planned node, with all members placed that come before it. The dry runs (the filter
// runs during the planner's search) know only the members of one role on one node.
type proof struct {
	runs     *dryRuns
	input    *planInput
	subjects subjects
	// steps is what is left of the search budget. A filter run and a simulated member cost
	// one step each.
	steps int
	// tried counts the plans that were refused, refusals the refused members. newest is the
	// last refusal.
	tried, refusals int
	newest          refusedMember
	// refused is true if the filters refused a member of the last plan.
	refused bool
	// learned has the key of each conflict (a combination of members and nodes that plans
	// must avoid) that was learned. widened has, for conflicts that differ only in the node
	// of the refused member, on how many nodes of the list nodes they were tested.
	learned map[string]bool
	widened map[string]int
	nodes   []fwk.NodeInfo
	// unsure is true if a learned conflict may exclude plans that the filters would accept.
	unsure bool
}

// refusedMember is a refusal in a proof: a plugin refused the member while the members in
// others were placed.
type refusedMember struct {
	member  *plannedMember
	others  []*plannedMember
	refusal filterRefusal
}

// newProof returns the proof for the plans of a gang, nil if the filters can find nothing
// that the planner and the dry runs have not found. unknown is true if the profile has
// Filter plugins that the planner does not know.
func newProof(runs *dryRuns, input *planInput, nodes []fwk.NodeInfo, unknown bool) *proof {
	if len(input.pending) < 2 {
		return nil // the dry runs have tested the only member
	}
	isPending := func(m plan.Member) bool { return input.pending[m.Name] != nil }
	mayFind := func(r roleInput) bool {
		return (unknown || interacts(r.sample)) && slices.ContainsFunc(r.Members, isPending)
	}
	if !slices.ContainsFunc(input.roles, mayFind) {
		return nil
	}
	p := &proof{runs: runs, input: input, nodes: nodes, learned: map[string]bool{}, widened: map[string]int{}}
	p.subjects = subjects{runs: runs, roles: input.roles, unknown: unknown, nodes: len(nodes), spend: p.spend}
	return p
}

func (p *proof) spend(steps int) { p.steps -= steps }

// run runs the filters over a plan. It returns the conflicts that it has learned from
// refusals, none if the filters accept all members. A member that is refused is not placed,
// and the proof goes on with the next. If the search budget ends, run does not test the
// remaining members: the filters test them in the members' own scheduling cycles.
func (p *proof) run(decision *plan.Decision) ([]plan.Conflict, error) {
	members, err := p.members(decision)
	if err != nil {
		return nil, err
	}
	var subjects []*subject
	for i := range members {
		if s := members[i].like; s != nil && !slices.Contains(subjects, s) {
			subjects = append(subjects, s)
		}
	}
	whole := newSimulated(p.runs, subjects...)
	var placed []*plannedMember
	var learned []plan.Conflict
	for i := range members {
		m := &members[i]
		status, err := p.test(whole, m)
		if err != nil {
			return nil, err
		}
		if status != nil {
			conflicts, err := p.learn(m, placed, status)
			if err != nil {
				return nil, err
			}
			learned = append(learned, conflicts...)
			continue
		}
		p.spend(len(subjects))
		if err := whole.add(m); err != nil {
			return nil, err
		}
		placed = append(placed, m)
	}
	if p.refused = len(placed) < len(members); p.refused {
		p.tried++
	}
	return learned, nil
}

// test returns the filters' refusal of a member, nil if the filters accept the member or do
// not run for it.
func (p *proof) test(t *simulated, m *plannedMember) (*fwk.Status, error) {
	if m.like == nil || m.pinned || p.steps <= 0 {
		return nil, nil
	}
	p.spend(1)
	return t.filter(m)
}

// members returns the members of a plan in the order in which they are placed: those whose
// claims have devices, those that have no order and no anti-affinity, those with an order
// (plan.Assignment.Order, which affinity and spread rules require), and those with only
// anti-affinity. These are late: the filter InterPodAffinity skips members without affinity
// terms, so such members would not see an earlier member's anti-affinity.
func (p *proof) members(decision *plan.Decision) ([]plannedMember, error) {
	var members []plannedMember
	add := func(role int, name, node string, pinned bool) error {
		pod := p.input.pending[name]
		like, err := p.subjects.of(role, pod)
		members = append(members, plannedMember{role: role, pod: pod, node: node, pinned: pinned, like: like})
		return err
	}
	for r := range p.input.roles {
		for _, m := range p.input.roles[r].Members {
			if m.Node == "" || p.input.pending[m.Name] == nil {
				continue
			}
			if err := add(r, m.Name, m.Node, true); err != nil {
				return nil, err
			}
		}
	}
	planned := slices.SortedStableFunc(slices.Values(decision.Assignments), func(a, b plan.Assignment) int {
		return cmp.Or(p.phase(&a)-p.phase(&b), a.Order-b.Order)
	})
	index := make(map[string]int, len(p.input.roles))
	for r := range p.input.roles {
		index[p.input.roles[r].Name] = r
	}
	for _, a := range planned {
		if err := add(index[a.Role], a.Member, a.Node, false); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// phase returns when a member is placed in a proof: before the members with an order, with
// these, or after them.
func (p *proof) phase(a *plan.Assignment) int {
	switch {
	case a.Order > 0:
		return 1
	case RepelsPods(p.input.pending[a.Member]):
		return 2
	}
	return 0
}

// RepelsPods reports whether the pod has required pod anti-affinity.
func RepelsPods(pod *v1.Pod) bool {
	affinity := pod.Spec.Affinity
	return affinity != nil && affinity.PodAntiAffinity != nil &&
		len(affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0
}
