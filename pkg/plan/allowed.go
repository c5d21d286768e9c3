// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// addNodes compiles the nodes of the roles that may use only some.
func (p *problem) addNodes() {
	for i := range p.roles {
		r := &p.roles[i]
		if r.spec.Nodes == nil {
			continue
		}
		r.limited, r.only = true, make(map[int32]bool, len(r.spec.Nodes))
		for _, name := range r.spec.Nodes {
			if pos, ok := p.snap.fabric.pos(name); ok && !r.only[pos] {
				r.only[pos] = true
				p.mark(pos, nodesMark, int64(i))
			}
		}
	}
}

// The kinds of marks: for which reason a position differs from others.
const (
	nodesMark int64 = iota
	domainMark
	poolMark
	limitMark
)

// mark makes a position differ from those without the same mark. words begin with the kind.
func (p *problem) mark(pos int32, words ...int64) {
	mark := hasher(14695981039346656037)
	for _, word := range words {
		mark.add(word)
	}
	if p.marks == nil {
		p.marks = map[int32]uint64{}
	}
	p.marks[pos] ^= uint64(mark)
}

// slotsAt returns how many members of a role an unused node holds.
func (p *problem) slotsAt(role int, pos int32) int32 {
	r := &p.roles[role]
	if r.limited && !r.only[pos] {
		return 0
	}
	return r.roll.slots.at(pos)
}

// alike returns true if the same roles may use two nodes, as far as Role.Nodes says, with
// the same items of pools and the same node limits, and the rules between members put the
// nodes in the same domains.
func (p *problem) alike(a, b int32) bool { return p.marks[a] == p.marks[b] }

// allowedSums returns the slots of a role that may use only some nodes, by depth and
// vertex.
func (p *problem) allowedSums(role int) [][]int64 {
	r, f := &p.roles[role], p.snap.fabric
	sums := make([][]int64, len(r.roll.sum))
	for d := range sums {
		sums[d] = make([]int64, len(r.roll.sum[d]))
		for pos := range r.only {
			sums[d][f.tables[d].of[pos]] += int64(r.roll.slots.at(pos))
		}
	}
	return sums
}
