// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import "slices"

// quorumChoices returns the minimal quorums as member counts by role: no member can be
// removed from them.
func (r *reference) quorumChoices() [][]int {
	var all [][]int
	v := make([]int, len(r.sim.gang.Roles))
	var walk func(i int)
	walk = func(i int) {
		if i == len(v) {
			if r.quorum("", v) && r.incompleteEmpty("", v) {
				all = append(all, slices.Clone(v))
			}
			return
		}
		for v[i] = r.boundOf(i); v[i] <= len(r.sim.gang.Roles[i].Members); v[i]++ {
			walk(i + 1)
		}
		v[i] = 0
	}
	walk(0)
	var out [][]int
	for _, a := range all {
		if !slices.ContainsFunc(all, func(b []int) bool { return !slices.Equal(a, b) && below(b, a) }) {
			out = append(out, a)
		}
	}
	return out
}

func below(a, b []int) bool {
	for i := range a {
		if a[i] > b[i] {
			return false
		}
	}
	return true
}

func (r *reference) boundOf(role int) int {
	n := 0
	for _, m := range r.sim.gang.Roles[role].Members {
		if m.Node != "" {
			n++
		}
	}
	return n
}

// quorum returns true if the counts satisfy every minimum of a scope.
func (r *reference) quorum(scope string, v []int) bool {
	least, groups := r.minimums(scope)
	sum, stated := 0, least
	for i, ro := range r.sim.gang.Roles {
		if r.under(ro.Group, scope) {
			sum += v[i]
		}
		if ro.Group == scope {
			stated += ro.Min
		}
	}
	if sum < least {
		return false
	}
	for i, ro := range r.sim.gang.Roles {
		if ro.Group == scope && (v[i] < ro.Min || stated == 0 && v[i] < len(ro.Members)) {
			return false
		}
	}
	kids, done := 0, 0
	for _, p := range r.sim.gang.Groups {
		if p.Parent != scope {
			continue
		}
		kids++
		if r.quorum(p.Name, v) {
			done++
		}
	}
	return done >= groups && (groups > 0 || done == kids)
}

// minimums returns the minimum members and groups of a scope.
func (r *reference) minimums(scope string) (members, groups int) {
	for _, p := range r.sim.gang.Groups {
		if p.Name == scope {
			return p.Min, p.MinGroups
		}
	}
	return r.sim.gang.Min, r.sim.gang.MinGroups
}

// incompleteEmpty returns true if every incomplete group below a scope has placed no
// member.
func (r *reference) incompleteEmpty(scope string, v []int) bool {
	for _, p := range r.sim.gang.Groups {
		if p.Parent != scope {
			continue
		}
		if r.quorum(p.Name, v) {
			if !r.incompleteEmpty(p.Name, v) {
				return false
			}
			continue
		}
		for i := range r.sim.gang.Roles {
			if r.under(r.sim.gang.Roles[i].Group, p.Name) && v[i] > r.boundOf(i) {
				return false
			}
		}
	}
	return true
}

func (r *reference) under(group, scope string) bool {
	for {
		if group == scope {
			return true
		}
		if group == "" {
			return false
		}
		for _, p := range r.sim.gang.Groups {
			if p.Name == group {
				group = p.Parent
				break
			}
		}
	}
}
