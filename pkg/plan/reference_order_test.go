// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// ruleDomain returns a key for the domain of a node that a rule between members counts in.
// ok is false for a node that is in none.
func (r *reference) ruleDomain(level string, node int) (key string, ok bool) {
	for _, p := range r.sim.gang.Partitions {
		if p.Name == level {
			key, ok = p.Domains[r.sim.nodes[node].Name]
			return key, ok
		}
	}
	return r.domain(r.depthOf(level), node)
}

// ruleDomains returns the domain of each node, "" for none.
func (r *reference) ruleDomains(level string) []string {
	if keys, ok := r.domains[level]; ok {
		return keys
	}
	keys := make([]string, len(r.sim.nodes))
	for n := range keys {
		if key, ok := r.ruleDomain(level, n); ok {
			keys[n] = key
		}
	}
	if r.domains == nil {
		r.domains = map[string][]string{}
	}
	r.domains[level] = keys
	return keys
}

// placed is a member on a node.
type placed struct{ role, node int }

// accepts returns true if the spread and affinity rules allow a member, with the members
// placed before it.
func (r *reference) accepts(m placed, before []placed) bool {
	for i := range r.sim.gang.Spread {
		if rule := &r.sim.gang.Spread[i]; r.names(rule.Roles, m.role) && !r.spreads(rule, m, before) {
			return false
		}
	}
	for i := range r.sim.gang.Affinity {
		if rule := &r.sim.gang.Affinity[i]; r.names(rule.Roles, m.role) && !r.near(rule, m, before) {
			return false
		}
	}
	return true
}

func (r *reference) names(roles []string, role int) bool {
	return slices.Contains(roles, r.sim.gang.Roles[role].Name)
}

func (r *reference) spreads(rule *plan.Spread, m placed, before []placed) bool {
	keys := r.ruleDomains(rule.Level)
	home := keys[m.node]
	if home == "" {
		return false
	}
	counts := map[string]int{}
	for n, key := range keys {
		if key != "" {
			counts[key] += rule.Existing[r.sim.nodes[n].Name]
		}
	}
	for _, b := range before {
		if key := keys[b.node]; key != "" && r.names(rule.Counted, b.role) {
			counts[key]++
		}
	}
	least := counts[home]
	for _, n := range counts {
		least = min(least, n)
	}
	if len(counts) < rule.MinDomains {
		least = 0
	}
	self := 0
	if r.names(rule.Counted, m.role) {
		self = 1
	}
	return counts[home]+self-least <= rule.MaxSkew
}

func (r *reference) near(rule *plan.Affinity, m placed, before []placed) bool {
	matching := slices.DeleteFunc(slices.Clone(before), func(b placed) bool { return !r.names(rule.Matching, b.role) })
	for _, name := range rule.Existing {
		if n, ok := r.nodes[name]; ok {
			matching = append(matching, placed{-1, n})
		}
	}
	alone, all := true, true
	for _, level := range rule.Levels {
		keys := r.ruleDomains(level)
		home, found := keys[m.node], false
		if home == "" {
			return false
		}
		for _, b := range matching {
			alone = alone && keys[b.node] == ""
			found = found || keys[b.node] == home
		}
		all = all && found
	}
	return all || alone && r.names(rule.Matching, m.role)
}

// orderly returns true if the placed members have an order in which the rules accept each.
func (r *reference) orderly() bool {
	if len(r.sim.gang.Spread)+len(r.sim.gang.Affinity) == 0 {
		return true
	}
	var members []placed
	for u := range r.units {
		for _, n := range r.at[u] {
			members = append(members, placed{r.units[u].role, n})
		}
	}
	return r.reaches(members, 0, make([]bool, 1<<len(members)))
}

// reaches returns true if the members can be placed that are not in the bit set of those
// placed already. tried has the sets from which it is known that they cannot.
func (r *reference) reaches(members []placed, done int, tried []bool) bool {
	if done == len(tried)-1 {
		return true
	}
	if tried[done] {
		return false
	}
	tried[done] = true
	var before []placed
	for i, m := range members {
		if done>>i&1 == 1 {
			before = append(before, m)
		}
	}
	for i, m := range members {
		if done>>i&1 == 0 && r.accepts(m, before) && r.reaches(members, done|1<<i, tried) {
			return true
		}
	}
	return false
}

// checkOrder checks Assignment.Order: the rules accept each member after those with smaller
// numbers.
func (r *reference) checkOrder(d *plan.Decision) error {
	assignments := slices.Clone(d.Assignments)
	slices.SortFunc(assignments, func(a, b plan.Assignment) int { return cmp.Compare(a.Order, b.Order) })
	var before []placed
	next := 1
	for _, a := range assignments {
		m := placed{slices.IndexFunc(r.sim.gang.Roles, func(x plan.Role) bool { return x.Name == a.Role }), r.nodes[a.Node]}
		if ordered := r.isOrdered(a.Role); ordered != (a.Order > 0) || ordered && a.Order != next {
			return fmt.Errorf("member %s of role %s has order %d, want %d if a rule names it", a.Member, a.Role, a.Order, next)
		}
		if a.Order == 0 {
			continue
		}
		next++
		if !r.accepts(m, before) {
			return fmt.Errorf("member %s of role %s on node %s breaks a rule in its turn %d", a.Member, a.Role, a.Node, a.Order)
		}
		before = append(before, m)
	}
	return nil
}

// isOrdered returns true if a spread or affinity rule names the role.
func (r *reference) isOrdered(role string) bool {
	for _, rule := range r.sim.gang.Spread {
		if slices.Contains(slices.Concat(rule.Roles, rule.Counted), role) {
			return true
		}
	}
	for _, rule := range r.sim.gang.Affinity {
		if slices.Contains(slices.Concat(rule.Roles, rule.Matching), role) {
			return true
		}
	}
	return false
}
