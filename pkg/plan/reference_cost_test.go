// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
)

// depthOf returns 1 for the coarsest level and 0 for "".
func (r *reference) depthOf(level string) int {
	for i, l := range r.sim.layout.Levels {
		if l.Name == level {
			return i + 1
		}
	}
	if level == "node" {
		return len(r.sim.layout.Levels) + 1
	}
	return 0
}

// domain returns a key for the domain of a node at a depth: the names from the top down to
// the domain. real is false if the node lacks the level.
func (r *reference) domain(depth, node int) (key string, real bool) {
	n := &r.sim.nodes[node]
	label := func(i int) string {
		if i < len(n.Domains) {
			return n.Domains[i]
		}
		return ""
	}
	levels := len(r.sim.layout.Levels)
	if depth == levels+1 {
		return n.Name, true
	}
	for i := 0; i < depth; i++ {
		at := label(i)
		for k := i; at == "" && k < levels; k++ {
			if label(k) != "" {
				at = "?" + label(k)
			}
		}
		if at == "" {
			at = "?node " + n.Name
		}
		key += "/" + at
	}
	for k := max(depth-1, 0); k < levels; k++ {
		real = real || label(k) != ""
	}
	return key, depth == 0 || real
}

// together returns true if all nodes are in one real domain of a depth.
func (r *reference) together(depth int, nodes []int) bool {
	if depth == 0 || len(nodes) == 0 {
		return true
	}
	first, _ := r.domain(depth, nodes[0])
	for _, n := range nodes {
		if key, real := r.domain(depth, n); !real || key != first {
			return false
		}
	}
	return true
}

// nodesOf returns the nodes of the members of some roles, bound members included.
func (r *reference) nodesOf(in func(role int) bool) []int {
	var out []int
	for i := range r.sim.gang.Roles {
		if !in(i) {
			continue
		}
		for _, m := range r.sim.gang.Roles[i].Members {
			if n, ok := r.nodes[m.Node]; ok && m.Node != "" {
				out = append(out, n)
			}
		}
	}
	for u := range r.units {
		if in(r.units[u].role) {
			out = append(out, r.at[u]...)
		}
	}
	return out
}

// rule is a level that some roles require or prefer.
type rule struct {
	required, preferred string
	in                  func(role int) bool
}

func (r *reference) rules() []rule {
	g := &r.sim.gang
	everyone := func(int) bool { return true }
	out := []rule{{g.Required, g.Preferred, everyone}}
	boundary := ""
	for _, l := range r.sim.layout.Levels {
		if l.Boundary {
			boundary = l.Name
		}
	}
	if g.RDMA {
		out = append(out, rule{boundary, "", everyone})
	}
	out = append(out, rule{boundary, "", func(i int) bool { return g.Roles[i].RDMA }})
	for _, p := range g.Groups {
		out = append(out, rule{p.Required, p.Preferred, func(i int) bool { return r.under(g.Roles[i].Group, p.Name) }})
	}
	for i := range g.Roles {
		out = append(out, rule{g.Roles[i].Required, g.Roles[i].Preferred, func(k int) bool { return k == i }})
	}
	return out
}

// evaluate computes the cost of a complete placement and keeps the lowest cost.
func (r *reference) evaluate() {
	broken := int64(0)
	for _, x := range r.rules() {
		nodes := r.nodesOf(x.in)
		if r.placing(x.in) && !r.together(r.depthOf(x.required), nodes) {
			return
		}
		if !r.together(r.depthOf(x.preferred), nodes) {
			broken++
		}
	}
	n, ok := r.checkSlices()
	if !ok {
		return
	}
	c := r.price(broken + n)
	if (r.best == nil || slices.Compare(c, r.best) < 0) && r.orderly() {
		r.best = c
	}
}

// placing returns true if any of the roles has members to place.
func (r *reference) placing(in func(role int) bool) bool {
	return slices.ContainsFunc(r.units, func(u refUnit) bool { return in(u.role) })
}

// checkSlices checks the rules of slices and counts their broken wishes.
func (r *reference) checkSlices() (broken int64, ok bool) {
	spread := map[string]bool{}
	for _, x := range r.bound {
		depth := r.depthOf(r.sim.gang.Roles[x.role].Slice.Spread)
		if r.together(depth, x.partners) {
			spread[r.spreadKey(x.role, depth, x.partners[0])] = true
		}
	}
	for u := range r.units {
		x := &r.units[u]
		if x.slice < 0 {
			continue
		}
		s := r.sim.gang.Roles[x.role].Slice
		nodes := append(slices.Clone(x.partners), r.at[u]...)
		if !r.together(r.depthOf(s.Required), nodes) || !r.together(r.depthOf(s.Spread), nodes) {
			return 0, false
		}
		if !r.together(r.depthOf(s.Preferred), nodes) {
			broken++
		}
		if s.Spread != "" && len(x.partners) == 0 {
			key := r.spreadKey(x.role, r.depthOf(s.Spread), nodes[0])
			if spread[key] {
				return 0, false
			}
			spread[key] = true
		}
	}
	return broken, true
}

func (r *reference) spreadKey(role, depth, node int) string {
	key, _ := r.domain(depth, node)
	return fmt.Sprint(role, key)
}

// price returns the cost terms in order.
func (r *reference) price(broken int64) []int64 {
	all := r.nodesOf(func(int) bool { return true })
	levels := r.sim.layout.Levels
	c := []int64{broken}
	for _, boundary := range []bool{true, false} {
		for i, l := range levels {
			if l.Boundary == boundary {
				c = append(c, max(0, int64(len(r.used(i+1, all)))-1))
			}
		}
	}
	unpaired := int64(0)
	for role := range r.put {
		for n, k := range r.put[role] {
			unpaired += int64(r.unpaired(role, n, k))
		}
	}
	nodes := int64(len(r.used(len(levels)+1, all)))
	singleNode, several := r.roomIn(len(levels)+1, all), int64(0)
	if nodes > 1 {
		singleNode, several = 0, singleNode
	}
	c = append(c, unpaired, nodes, singleNode)
	for d := len(levels); d > 0; d-- {
		c = append(c, r.roomIn(d, all))
	}
	return append(c, several)
}

func (r *reference) used(depth int, nodes []int) map[string]bool {
	out := map[string]bool{}
	for _, n := range nodes {
		key, _ := r.domain(depth, n)
		out[key] = true
	}
	return out
}

// roomIn returns the sum of the leading role's slots in the used domains.
func (r *reference) roomIn(depth int, nodes []int) int64 {
	used, sum := r.used(depth, nodes), 0
	for n := range r.sim.nodes {
		if key, _ := r.domain(depth, n); used[key] {
			sum += r.slots[r.lead][n]
		}
	}
	return int64(sum)
}
