// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// A quorum is enough members (pods) for a gang to start. A quorum choice is a number of
// members of each role (a set of equal members) that together form a quorum, bound members
// (those on a node already) included. A gang may have several: different roles can meet its
// Min, and a group (of roles and smaller groups) may need only some of its child groups.

// maxQuorumChoices is how many choices are tried at most. Further choices rarely lead to
// another kind of placement.
const maxQuorumChoices = 64

// quorumChoice is a quorum choice of a group or of the gang.
type quorumChoice struct {
	counts   []int  // by role, the number of members
	complete []bool // by index in Gang.Groups, whether these members complete the group
}

// quorumChoices lists the quorum choices in a fixed order. proven is false if there are
// more than maxQuorumChoices: the list may then lack the best choice.
func (p *problem) quorumChoices() (list [][]int, proven bool) {
	q := quorumLister{p: p, proven: true}
	for _, v := range q.scope("", p.gang.Min, p.gang.MinGroups, false) {
		for r := range v.counts {
			v.counts[r] = max(v.counts[r], len(p.roles[r].bound))
		}
		list = append(list, v.counts)
	}
	slices.SortStableFunc(list, func(a, b []int) int { return slices.Compare(b, a) })
	return slices.CompactFunc(list, slices.Equal[[]int]), q.proven
}

// allMembers returns the quorum choice with all members.
func (p *problem) allMembers() []int {
	out := make([]int, len(p.roles))
	for r := range p.roles {
		out[r] = len(p.roles[r].spec.Members)
	}
	return out
}

// quorumLister lists quorum choices (numbers of members by role). proven is false after
// it has omitted some.
type quorumLister struct {
	p      *problem
	proven bool
}

// scope lists the quorum choices of a group, or of the gang for the empty name: at least
// least members, and leastGroups complete child groups (0 means all child groups).
// pressed is true if a group around it, or the gang, has a minimum of members. To reach it,
// more child groups than the fewest may have to be complete.
func (q *quorumLister) scope(name string, least, leastGroups int, pressed bool) []quorumChoice {
	pressed = pressed || least > 0
	own := quorumChoice{q.ownRoles(name, least), make([]bool, len(q.p.gang.Groups))}
	kids := q.children(name)
	if leastGroups == 0 {
		leastGroups = len(kids)
	}
	most := leastGroups
	if pressed {
		most = len(kids)
	}
	var sums []quorumChoice
	for _, chosen := range choose(len(kids), leastGroups, most) {
		part := []quorumChoice{own}
		for _, k := range chosen {
			g := &q.p.gang.Groups[kids[k]]
			part = q.cross(part, q.scope(g.Name, g.Min, g.MinGroups, pressed), kids[k])
		}
		for _, v := range part {
			sums = append(sums, q.raise(name, v, least)...)
		}
		if len(sums) > maxQuorumChoices {
			q.proven = false
			return sums[:maxQuorumChoices]
		}
	}
	return sums
}

// children returns the indices of the groups directly below a group, or below the gang
// for the empty name, ordered by name.
func (q *quorumLister) children(name string) []int {
	groups := q.p.gang.Groups
	var out []int
	for i := range groups {
		if groups[i].Parent == name {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b int) int { return natural(groups[a].Name, groups[b].Name) })
	return out
}

// ownRoles returns, by role, the minimums of the roles directly in a group, or in the
// gang for the empty name. If neither these roles nor the group have a minimum, it
// returns the number of all their members.
func (q *quorumLister) ownRoles(name string, least int) []int {
	out, stated := make([]int, len(q.p.roles)), least
	for r := range q.p.roles {
		if q.p.roles[r].spec.Group == name {
			out[r] = q.p.roles[r].spec.Min
			stated += out[r]
		}
	}
	if stated > 0 {
		return out
	}
	for r := range q.p.roles {
		if q.p.roles[r].spec.Group == name {
			out[r] = len(q.p.roles[r].spec.Members)
		}
	}
	return out
}

// cross combines each quorum choice in a with each in b, the choices of a child group.
// The combined choice completes this group.
func (q *quorumLister) cross(a, b []quorumChoice, group int) []quorumChoice {
	var out []quorumChoice
	for _, x := range a {
		for _, y := range b {
			if len(out) > maxQuorumChoices {
				q.proven = false
				return out
			}
			v := quorumChoice{slices.Clone(x.counts), slices.Clone(x.complete)}
			for r := range v.counts {
				v.counts[r] += y.counts[r]
			}
			for g, is := range y.complete {
				v.complete[g] = v.complete[g] || is
			}
			v.complete[group] = true
			out = append(out, v)
		}
	}
	return out
}

// raise increases a quorum choice to at least least members of the named group, and at
// least the bound members of each role, in every possible way. It adds members of the
// group's own roles and of complete groups below it.
func (q *quorumLister) raise(name string, v quorumChoice, least int) []quorumChoice {
	missing := least
	var may []int
	for r := range q.p.roles {
		group := q.p.roles[r].spec.Group
		if !q.p.gang.inside(group, name) {
			continue
		}
		v.counts[r] = max(v.counts[r], len(q.p.roles[r].bound))
		missing -= v.counts[r]
		if q.open(group, name, v.complete) {
			may = append(may, r)
		}
	}
	var lists [][]int
	q.distribute(v.counts, may, missing, &lists)
	out := make([]quorumChoice, len(lists))
	for i := range lists {
		out[i] = quorumChoice{lists[i], v.complete}
	}
	return out
}

// open returns true if the given group and all groups around it are complete, up to but
// not including the group named scope.
func (q *quorumLister) open(group, scope string, complete []bool) bool {
	for group != scope {
		i := slices.IndexFunc(q.p.gang.Groups, func(p Group) bool { return p.Name == group })
		if !complete[i] {
			return false
		}
		group = q.p.gang.Groups[i].Parent
	}
	return true
}

// distribute adds missing members to the counts v by role, in every way. It adds only to
// the roles in may. It appends each result to out.
func (q *quorumLister) distribute(v, may []int, missing int, out *[][]int) {
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
		if len(*out) > maxQuorumChoices {
			q.proven = false
			break
		}
		v[r] = had + n
		q.distribute(v, may[1:], missing-n, out)
	}
	v[r] = had
}

// choose lists the subsets of the numbers 0..n-1 whose size is between the arguments least
// and most, small subsets and those with small numbers first. It returns at most
// maxQuorumChoices+1 subsets.
func choose(n, least, most int) [][]int {
	var out [][]int
	var walk func(from, k int, have []int)
	walk = func(from, k int, have []int) {
		if len(have) == k {
			out = append(out, slices.Clone(have))
			return
		}
		for i := from; i < n && len(out) <= maxQuorumChoices; i++ {
			walk(i+1, k, append(have, i))
		}
	}
	for k := least; k <= most; k++ {
		walk(0, k, nil)
	}
	return out
}
