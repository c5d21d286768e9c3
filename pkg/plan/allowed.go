// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// addNodes turns Role.Nodes (the only nodes that a role may use) into node positions, for
// each role that has this list, and marks these nodes.
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

// The kinds of marks. A mark is a reason why the search must not treat a node as
// interchangeable with other nodes in the same state.
const (
	nodesMark int64 = iota
	domainMark
	poolMark
	limitMark
	conflictMark
)

// mark makes the node at pos differ, for the search, from nodes without the same mark.
// words describe the reason; the first word is the kind of mark.
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

// slotsAt returns how many members of a role fit on the node at pos, by counts of resources
// and devices, if the node holds no member of the gang. It returns 0 if Role.Nodes does not
// allow the node.
func (p *problem) slotsAt(role int, pos int32) int32 {
	r := &p.roles[role]
	if r.limited && !r.only[pos] {
		return 0
	}
	return r.roll.slots.at(pos)
}

// alike returns true if the nodes at positions a and b have the same marks, so that no
// rule of the gang treats the two nodes differently.
func (p *problem) alike(a, b int32) bool { return p.marks[a] == p.marks[b] }

// allowedSums returns, by depth and vertex (index at a depth) of the topology tree, how
// many members of a role fit on those nodes of the vertex that Role.Nodes allows.
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
