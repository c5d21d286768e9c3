// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// validate checks a placement against the rules. It uses the assigned nodes of the members.
func (sim *simulation) validate(d *plan.Decision) error {
	r := &reference{sim: sim, memo: map[string]bool{}, nodes: map[string]int{}}
	for i, n := range sim.nodes {
		r.nodes[n.Name] = i
	}
	given, err := sim.given(d)
	if err != nil {
		return err
	}
	counts := make([]int, len(sim.gang.Roles))
	for i := range sim.gang.Roles {
		r.put = append(r.put, make([]int, len(sim.nodes)))
		counts[i] = r.boundOf(i) + len(given[i])
		r.addGiven(i, given[i])
	}
	for i := range r.put {
		for n, k := range r.put[i] {
			if k > 0 && !r.holds(i, n) {
				return fmt.Errorf("node %s does not hold %d of role %s", sim.nodes[n].Name, k, sim.gang.Roles[i].Name)
			}
		}
	}
	if !r.quorum("", counts) {
		return fmt.Errorf("counts %v are no quorum", counts)
	}
	for _, x := range r.rules() {
		if r.placing(x.in) && !r.together(r.depthOf(x.required), r.nodesOf(x.in)) {
			return fmt.Errorf("required %s is not kept", x.required)
		}
	}
	if _, ok := r.checkSlices(); !ok {
		return fmt.Errorf("a slice is not together or shares a spread domain")
	}
	return r.checkOrder(d)
}

// given returns the node of each placed member, by role.
func (sim *simulation) given(d *plan.Decision) ([]map[string]string, error) {
	out := make([]map[string]string, len(sim.gang.Roles))
	for i := range out {
		out[i] = map[string]string{}
	}
	for _, a := range d.Assignments {
		i := slices.IndexFunc(sim.gang.Roles, func(r plan.Role) bool { return r.Name == a.Role })
		if i < 0 {
			return nil, fmt.Errorf("role %s is unknown", a.Role)
		}
		m := slices.IndexFunc(sim.gang.Roles[i].Members, func(m plan.Member) bool { return m.Name == a.Member && m.Node == "" })
		if m < 0 || out[i][a.Member] != "" {
			return nil, fmt.Errorf("member %s of role %s is unknown, bound or placed twice", a.Member, a.Role)
		}
		out[i][a.Member] = a.Node
	}
	return out, nil
}

// addGiven builds the units of a role from its members' nodes.
func (r *reference) addGiven(role int, given map[string]string) {
	r.addUnits(role, len(r.sim.gang.Roles[role].Members))
	for u := range r.units {
		x := &r.units[u]
		if x.role != role {
			continue
		}
		var at []int
		for _, name := range x.names {
			if node, ok := given[name]; ok {
				at = append(at, r.nodes[node])
				r.put[role][r.nodes[node]]++
			}
		}
		r.at = append(r.at, at)
	}
	// A unit without placed members is removed.
	for u := len(r.units) - 1; u >= 0; u-- {
		if len(r.at[u]) == 0 {
			r.units, r.at = slices.Delete(r.units, u, u+1), slices.Delete(r.at, u, u+1)
		}
	}
}
