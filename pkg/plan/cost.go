// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// cost writes the cost vector of the partial placement (the members placed so far) into buf
// and returns it. broken is the number of preferred levels that are not kept.
func (pp *partial) cost(buf []int64, broken int64) []int64 {
	buf = append(buf[:0], broken)
	for _, d := range pp.p.terms {
		buf = append(buf, max(0, pp.crossed[d]-1))
	}
	node := pp.f.levels + 1
	singleNode, multiNode := pp.room[node], int64(0)
	if pp.crossed[node] > 1 {
		singleNode, multiNode = multiNode, singleNode
	}
	buf = append(buf, pp.unpaired, pp.crossed[node], singleNode)
	for d := pp.f.levels; d > 0; d-- {
		buf = append(buf, pp.room[d])
	}
	return append(buf, multiNode)
}

// named returns a cost vector with the names of its terms.
func (p *problem) named(v []int64) Cost {
	out := make(Cost, len(v))
	for i, n := range p.snap.terms.names {
		out[i] = Term{n, v[i]}
	}
	return out
}

// locality returns the terms of a cost vector that measure how close the members are:
// broken wishes (sets of members that one domain should hold) and used domains.
func (p *problem) locality(v []int64) []int64 { return v[:1+len(p.terms)] }

// broken counts the broken wishes. A wish is a set of members that one domain should hold.
// It is broken if its bound members and those at these places are not in one domain.
func (p *problem) broken(f *fabric, places []place) int64 {
	state := slices.Clone(p.wishes)
	bySlice := make([][]wish, len(p.batches))
	for i := range p.batches {
		if b := &p.batches[i]; b.sliced && b.rule.preferred > 0 {
			bySlice[i] = slices.Repeat([]wish{{depth: b.rule.preferred, first: -1}}, int(b.count))
		}
	}
	for _, l := range places {
		for _, w := range p.batches[l.batch].wishes {
			state[w].add(f, l.pos)
		}
		if bySlice[l.batch] != nil {
			bySlice[l.batch][l.slice].add(f, l.pos)
		}
	}
	n := countBroken(state)
	for _, ws := range bySlice {
		n += countBroken(ws)
	}
	return n
}

// add records that a member of the wish is on the node at pos. A second domain, or a node
// without the level, breaks the wish.
func (w *wish) add(f *fabric, pos int32) {
	v := f.at(w.depth, pos)
	if w.first >= 0 && w.first != v || !f.real(w.depth, v) {
		w.broken = true
	}
	w.first = v
}

func countBroken(ws []wish) int64 {
	var n int64
	for i := range ws {
		if ws[i].broken {
			n++
		}
	}
	return n
}
