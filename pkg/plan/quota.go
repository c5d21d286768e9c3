// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// A quota is how many members of each role make a quorum, bound ones included.
// There may be several: a gang's min can be met by different roles, and a group
// may need only some of its children.

// maxQuotas bounds how many are tried; more are rarely different in kind.
const maxQuotas = 64

// quotas lists the ways to a quorum, in a fixed order; whole is false when
// there were more than maxQuotas.
func (p *problem) quotas() (list [][]int, whole bool) {
	q := quotaMaker{p: p, whole: true}
	list = q.scope("", p.gang.Min, p.gang.MinGroups)
	for _, v := range list {
		for r := range v {
			v[r] = max(v[r], len(p.roles[r].bound))
		}
	}
	slices.SortStableFunc(list, func(a, b []int) int { return slices.Compare(b, a) })
	return slices.CompactFunc(list, slices.Equal[[]int]), q.whole
}

// everyone is the quota of all members.
func (p *problem) everyone() []int {
	out := make([]int, len(p.roles))
	for r := range p.roles {
		out[r] = len(p.roles[r].spec.Members)
	}
	return out
}

type quotaMaker struct {
	p     *problem
	whole bool
}

// scope lists the quotas of the gang (the empty name) or of a group.
func (q *quotaMaker) scope(name string, least, leastGroups int) [][]int {
	list := [][]int{q.ownRoles(name, least)}
	kids := q.children(name)
	if leastGroups == 0 {
		leastGroups = len(kids)
	}
	var sums [][]int
	for _, chosen := range choose(len(kids), leastGroups) {
		if len(sums) > maxQuotas {
			q.whole = false
			break
		}
		part := list
		for _, k := range chosen {
			g := kids[k]
			part = q.cross(part, q.scope(g.Name, g.Min, g.MinGroups))
		}
		for _, v := range part {
			sums = append(sums, q.raise(name, v, chosenNames(kids, chosen), least)...)
		}
	}
	if len(sums) > maxQuotas {
		sums, q.whole = sums[:maxQuotas], false
	}
	return sums
}

func (q *quotaMaker) children(name string) []*Group {
	var out []*Group
	for i := range q.p.gang.Groups {
		if q.p.gang.Groups[i].Parent == name {
			out = append(out, &q.p.gang.Groups[i])
		}
	}
	slices.SortFunc(out, func(a, b *Group) int { return natural(a.Name, b.Name) })
	return out
}

func chosenNames(kids []*Group, chosen []int) []string {
	var out []string
	for _, k := range chosen {
		out = append(out, kids[k].Name)
	}
	return out
}

// ownRoles is what a scope's direct roles ask for: their minimums, or all of
// them when neither they nor the scope ask for anything.
func (q *quotaMaker) ownRoles(name string, least int) []int {
	out, asked := make([]int, len(q.p.roles)), least
	for r := range q.p.roles {
		if q.p.roles[r].spec.Group == name {
			out[r] = q.p.roles[r].spec.Min
			asked += out[r]
		}
	}
	if asked > 0 {
		return out
	}
	for r := range q.p.roles {
		if q.p.roles[r].spec.Group == name {
			out[r] = len(q.p.roles[r].spec.Members)
		}
	}
	return out
}

func (q *quotaMaker) cross(a, b [][]int) [][]int {
	var out [][]int
	for _, x := range a {
		for _, y := range b {
			if len(out) > maxQuotas {
				q.whole = false
				return out
			}
			v := slices.Clone(x)
			for r := range v {
				v[r] += y[r]
			}
			out = append(out, v)
		}
	}
	return out
}

// raise lifts a quota to at least that many members in every possible way,
// from the scope's own roles and those of its chosen groups.
func (q *quotaMaker) raise(name string, v []int, chosen []string, least int) [][]int {
	missing := least
	var may []int
	for r := range q.p.roles {
		ro := q.p.roles[r].spec
		if !q.p.gang.inside(ro.Group, name) {
			continue
		}
		v[r] = max(v[r], len(q.p.roles[r].bound))
		missing -= v[r]
		if ro.Group == name || slices.ContainsFunc(chosen, func(c string) bool { return q.p.gang.inside(ro.Group, c) }) {
			may = append(may, r)
		}
	}
	var out [][]int
	q.spreadOut(slices.Clone(v), may, missing, &out)
	return out
}

// spreadOut hands missing members to the roles in may, in every way.
func (q *quotaMaker) spreadOut(v, may []int, missing int, out *[][]int) {
	if missing <= 0 {
		*out = append(*out, slices.Clone(v))
		return
	}
	if len(may) == 0 {
		return
	}
	r := may[0]
	had := v[r]
	for n := min(missing, len(q.p.roles[r].spec.Members)-had); n >= 0; n-- {
		if len(*out) > maxQuotas {
			q.whole = false
			break
		}
		v[r] = had + n
		q.spreadOut(v, may[1:], missing-n, out)
	}
	v[r] = had
}

// choose lists the ways to take k of n, first ones first, at most maxQuotas+1.
func choose(n, k int) [][]int {
	var out [][]int
	var walk func(from int, have []int)
	walk = func(from int, have []int) {
		if len(have) == k {
			out = append(out, slices.Clone(have))
			return
		}
		for i := from; i < n && len(out) <= maxQuotas; i++ {
			walk(i+1, append(have, i))
		}
	}
	walk(0, nil)
	return out
}
