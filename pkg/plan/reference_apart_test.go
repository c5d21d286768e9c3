// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// apart returns true if no rule keeps a placed member of a role away from the other
// members in the domains of its node.
func (r *reference) apart(role, node int) bool {
	name := r.sim.gang.Roles[role].Name
	for _, rule := range r.sim.gang.AntiAffinity {
		holds, matches := slices.Contains(rule.Roles, name), slices.Contains(rule.Others, name)
		if !holds && !matches {
			continue
		}
		near := r.membersNear(rule.Level, node)
		near[name]-- // itself
		if holds && totalOf(near, rule.Others) > 0 || matches && totalOf(near, rule.Roles) > 0 {
			return false
		}
	}
	return true
}

// membersNear counts, by role, the members in the domain of a node, none if the node
// is in none.
func (r *reference) membersNear(level string, node int) map[string]int {
	near := map[string]int{}
	home, real := r.ruleDomain(level, node)
	if !real {
		return near
	}
	count := func(role, n, members int) {
		if at, real := r.ruleDomain(level, n); real && at == home {
			near[r.sim.gang.Roles[role].Name] += members
		}
	}
	for i := range r.sim.gang.Roles {
		for n, members := range r.put[i] {
			count(i, n, members)
		}
		for _, m := range r.sim.gang.Roles[i].Members {
			if n, ok := r.nodes[m.Node]; ok && m.Node != "" {
				count(i, n, 1)
			}
		}
	}
	return near
}

func totalOf(counts map[string]int, names []string) int {
	sum := 0
	for _, name := range names {
		sum += counts[name]
	}
	return sum
}

// conflicting returns true if the placed members are a combination that the filters have
// refused.
func (r *reference) conflicting() bool {
	fulfilled := func(term plan.ConflictTerm) bool {
		role := slices.IndexFunc(r.sim.gang.Roles, func(o plan.Role) bool { return o.Name == term.Role })
		return r.put[role][r.nodes[term.Node]] >= term.Count
	}
	return slices.ContainsFunc(r.sim.gang.Conflicts, func(c plan.Conflict) bool {
		return !slices.ContainsFunc(c.Terms, func(term plan.ConflictTerm) bool { return !fulfilled(term) })
	})
}

// tooMany returns true if a node has more members of a role than the role's need allows.
func (r *reference) tooMany(put []int) bool {
	for i, k := range put {
		if most := r.sim.gang.Roles[i].Need.PerNode; most > 0 && k > most {
			return true
		}
	}
	return false
}
