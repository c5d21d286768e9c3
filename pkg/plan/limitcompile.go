// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"
)

// addNodeLimits compiles Gang.NodeLimits, the limits of what the members on one node take
// together. It marks the limited nodes: the search treats nodes of equal free capacity alike
// unless their marks differ.
func (p *problem) addNodeLimits() {
	for i := range p.gang.NodeLimits {
		l := p.newNodeLimit(&p.gang.NodeLimits[i])
		for r := range p.roles {
			p.roles[r].counted = p.roles[r].counted || l.own[r] > 0 || len(l.shared[r]) > 0
		}
		for _, pos := range sortedKeys(l.free) {
			words := []int64{limitMark, int64(i), int64(l.free[pos])}
			for _, thing := range l.present[pos] {
				words = append(words, int64(thing))
			}
			p.mark(pos, words...)
		}
		p.nodeLimits = append(p.nodeLimits, l)
	}
	for r := range p.roles {
		if p.roles[r].counted {
			p.limitAlone(r)
		}
	}
}

// limitAlone limits a role on each node where node limits allow fewer of its members than
// resources do, even if no members of other roles are there.
func (p *problem) limitAlone(role int) {
	r := &p.roles[role]
	none := func(int) int32 { return 0 }
	alone := map[int32]int32{}
	for i := range p.nodeLimits {
		for pos := range p.nodeLimits[i].free {
			most, known := alone[pos]
			if !known {
				most = p.slotsAt(role, pos)
			}
			alone[pos] = min(most, p.nodeLimits[i].room(role, pos, none))
		}
	}
	for _, pos := range sortedKeys(alone) {
		if alone[pos] < p.slotsAt(role, pos) {
			r.limits = append(r.limits, limit{pos, alone[pos]})
		}
	}
	slices.SortStableFunc(r.limits, func(a, b limit) int { return cmp.Compare(a.pos, b.pos) })
}

func (p *problem) newNodeLimit(spec *NodeLimit) nodeLimit {
	l := nodeLimit{
		name: spec.Name, free: map[int32]int32{}, present: map[int32][]int32{},
		own: make([]int32, len(p.roles)), shared: make([][]int32, len(p.roles)),
	}
	things := map[string]int32{}
	for _, user := range spec.Users {
		for _, name := range user.Shared {
			things[name] = 0
		}
	}
	for i, name := range slices.Sorted(maps.Keys(things)) {
		things[name] = int32(i)
	}
	for r := range p.roles {
		for _, user := range spec.Users {
			if user.Role == p.roles[r].spec.Name {
				l.own[r], l.shared[r] = int32(min(user.Own, maxSlots)), numbered(user.Shared, things)
			}
		}
	}
	for name, free := range spec.Free {
		if pos, ok := p.snap.fabric.pos(name); ok {
			l.free[pos] = int32(min(max(free, 0), maxSlots))
			if there := numbered(spec.Present[name], things); len(there) > 0 {
				l.present[pos] = there
			}
		}
	}
	return l
}

// numbered looks up names in numbers. It returns the numbers found, ascending and each
// once.
func numbered(names []string, numbers map[string]int32) []int32 {
	var out []int32
	for _, name := range names {
		if n, known := numbers[name]; known {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
