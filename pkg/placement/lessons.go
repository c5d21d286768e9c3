// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// The stock plugins that may refuse a member because other members are missing, and not
// because they are there.
const (
	spreadPlugin   = "PodTopologySpread"
	affinityPlugin = "InterPodAffinity"
)

// learn finds the placed members because of which the filters refused the member m. It
// returns a conflict: these members and m on their nodes, which plans must not combine
// again. It also returns the same conflict on other nodes where the filters refuse it.
func (p *proof) learn(m *plannedMember, placed []*plannedMember, status *fwk.Status) ([]plan.Conflict, error) {
	p.runs.roles[m.role].refuse(m.node, status)
	beside, sure, err := p.cause(m, placed, status)
	if err != nil {
		return nil, err
	}
	p.refusals++
	p.newest = refusedMember{member: m, others: beside, refusal: p.runs.roles[m.role].refused[m.node]}
	p.unsure = p.unsure || !sure || p.labelsDiffer(append(slices.Clone(beside), m))
	var learned []plan.Conflict
	if c := p.conflict(m, beside); p.isNew(c) {
		learned = append(learned, c)
	}
	if sure {
		learned, err = p.widen(m, beside, learned)
	}
	return learned, err
}

// widen tests a conflict on other nodes: it moves the refused member, and the others on its
// node, to each of these nodes. It appends the conflicts that it finds to learned. Each time
// the same conflict appears, widen tests twice as many nodes, so a rule that holds on all
// nodes is known after few plans.
func (p *proof) widen(m *plannedMember, beside []*plannedMember, learned []plan.Conflict) ([]plan.Conflict, error) {
	kind := fmt.Sprint(p.conflict(moved("*", m.node, m, beside)).Terms)
	from := p.widened[kind]
	to := min(from+max(1, from), len(p.nodes))
	p.widened[kind] = to
	for _, info := range p.nodes[from:to] {
		if info.Node() == nil || info.Node().Name == m.node || p.steps <= 0 {
			continue
		}
		there, with := moved(info.Node().Name, m.node, m, beside)
		status, err := p.refusedBeside(there, with)
		if err != nil {
			return nil, err
		}
		if c := p.conflict(there, with); status != nil && p.isNew(c) {
			p.runs.roles[m.role].refuse(there.node, status)
			learned = append(learned, c)
		}
	}
	return learned, nil
}

// moved returns copies of m and of the members beside it. Those on the node from are moved
// to the node to.
func moved(to, from string, m *plannedMember, beside []*plannedMember) (*plannedMember, []*plannedMember) {
	move := func(o *plannedMember) *plannedMember {
		there := *o
		if o.node == from {
			there.node = to
		}
		return &there
	}
	with := make([]*plannedMember, len(beside))
	for i := range beside {
		with[i] = move(beside[i])
	}
	return move(m), with
}

// cause returns a minimal set of the placed members beside which the filters refuse the
// member. sure is false if the filters might accept the member beside this set and further
// members. The set then has all placed members, and also if the search budget ends.
func (p *proof) cause(m *plannedMember, placed []*plannedMember, status *fwk.Status) (beside []*plannedMember, sure bool, err error) {
	if needsOthers(m.pod, status) {
		return placed, false, nil
	}
	refuses := func(with []*plannedMember) bool {
		refused, failed := p.refusedBeside(m, with)
		err = cmp.Or(err, failed)
		return refused != nil
	}
	var near, far []*plannedMember
	for _, o := range placed {
		if o.node == m.node {
			near = append(near, o)
		} else {
			far = append(far, o)
		}
	}
	candidates := near
	if !refuses(near) {
		candidates = slices.Concat(near, far)
	}
	beside, found := smallest(candidates, refuses)
	if !found || p.steps <= 0 {
		return placed, found, err
	}
	return beside, true, err
}

// needsOthers reports whether the refusal may come from members that are missing: a
// topology spread constraint compares domains, and pod affinity needs a matching pod.
func needsOthers(pod *v1.Pod, status *fwk.Status) bool {
	affinity := pod.Spec.Affinity
	return status.Plugin() == spreadPlugin ||
		status.Plugin() == affinityPlugin && affinity != nil && affinity.PodAffinity != nil
}

// refusedBeside returns the filters' refusal of a member if only some members are placed, nil
// if they accept it.
func (p *proof) refusedBeside(m *plannedMember, with []*plannedMember) (*fwk.Status, error) {
	p.spend(len(with) + 1)
	t := newSimulated(p.runs, m.like)
	for _, o := range with {
		if err := t.add(o); err != nil {
			return nil, err
		}
	}
	return t.filter(m)
}

// smallest returns a minimal subset of all for which refuses is true: without any one of its
// members refuses would be false. refuses must be true for each set that contains a set for
// which it is true. found is false if refuses is not true for the whole of all.
func smallest(all []*plannedMember, refuses func([]*plannedMember) bool) (part []*plannedMember, found bool) {
	for !refuses(part) {
		first := sort.Search(len(all), func(i int) bool { return refuses(slices.Concat(part, all[:i+1])) })
		if first == len(all) {
			return nil, false
		}
		part, all = append(part, all[first]), all[:first]
	}
	return part, true
}

// conflict returns the planner's conflict: the member and the others on their nodes. Members
// whose claims already have devices are left out, because no plan moves them.
func (p *proof) conflict(m *plannedMember, beside []*plannedMember) plan.Conflict {
	counts := map[plan.ConflictTerm]int{}
	for _, o := range append(slices.Clone(beside), m) {
		if !o.pinned {
			counts[plan.ConflictTerm{Role: p.input.roles[o.role].Name, Node: o.node}]++
		}
	}
	var c plan.Conflict
	for term, n := range counts {
		term.Count = n
		c.Terms = append(c.Terms, term)
	}
	slices.SortFunc(c.Terms, func(a, b plan.ConflictTerm) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Node, b.Node))
	})
	return c
}

// isNew reports whether the conflict is seen for the first time, and records it.
func (p *proof) isNew(c plan.Conflict) bool {
	key := fmt.Sprint(c.Terms)
	known := p.learned[key]
	p.learned[key] = true
	return !known
}

// labelsDiffer reports whether members of the roles of these members have different labels,
// which unknown filters may read: a conflict counts the members of a role and does not tell
// them apart.
func (p *proof) labelsDiffer(members []*plannedMember) bool {
	if !p.subjects.unknown {
		return false
	}
	for _, m := range members {
		role := &p.input.roles[m.role]
		for _, other := range role.Members {
			if pod := p.input.pending[other.Name]; pod != nil && !maps.Equal(pod.Labels, m.pod.Labels) {
				return true
			}
		}
	}
	return false
}
