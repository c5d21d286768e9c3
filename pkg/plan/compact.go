// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// compact empties nodes whose members fit on other nodes of the same run.
// Filling domain by domain leaves room on the last node of a run, which may hold
// what an earlier, smaller node got. Nobody moves to a domain that the run did
// not use before, so no rule is broken and no cost term rises.
func (pp *partial) compact() {
	for i := range pp.p.batches {
		if !pp.p.batches[i].sliced {
			for pp.emptyNode(int32(i)) {
				pp.p.steps++
			}
		}
	}
}

// emptyNode moves the members of the least filled node that can be emptied.
func (pp *partial) emptyNode(batch int32) bool {
	role := pp.p.batches[batch].role
	roomy := func(l place) bool { return l.batch == batch && pp.cleanRoom(role, l.pos) > 0 }
	if !slices.ContainsFunc(pp.log, roomy) {
		return false
	}
	seats := pp.nodesOf(batch)
	spare := int32(0)
	for _, s := range seats {
		spare += pp.cleanRoom(role, s.pos)
	}
	for _, s := range seats {
		if s.n > spare-pp.cleanRoom(role, s.pos) {
			continue
		}
		if pp.move(batch, s, seats) {
			return true
		}
	}
	return false
}

// nodesOf lists the nodes of a batch, the least filled first.
func (pp *partial) nodesOf(batch int32) []place {
	var seats []place
	for _, l := range pp.log {
		if l.batch == batch {
			seats = append(seats, l)
		}
	}
	slices.SortFunc(seats, func(x, y place) int { return cmp.Or(cmp.Compare(x.pos, y.pos), cmp.Compare(x.n, y.n)) })
	out := seats[:0]
	for _, s := range seats {
		if n := len(out); n > 0 && out[n-1].pos == s.pos {
			out[n-1].n += s.n
			continue
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(x, y place) int { return cmp.Compare(x.n, y.n) })
	return out
}

// cleanRoom is how many more members a node holds without leaving any unpaired.
func (pp *partial) cleanRoom(role int, pos int32) int32 {
	return max(0, min(pp.slots(role, pos), pp.p.roles[role].roll.clean.at(pos)-pp.on(role, pos)))
}

// move takes a node's members of a batch to the other seats, as far as the
// filters agree to all of it.
func (pp *partial) move(batch int32, from place, seats []place) bool {
	role := pp.p.batches[batch].role
	left := from.n
	var to []place
	for i := len(seats) - 1; i >= 0 && left > 0; i-- {
		s := seats[i]
		if s.pos == from.pos {
			continue
		}
		if n := pp.admitted(role, s.pos, min(left, pp.cleanRoom(role, s.pos))); n > 0 {
			to = append(to, place{batch, 0, s.pos, n})
			left -= n
		}
	}
	if left > 0 {
		return false
	}
	log := slices.DeleteFunc(slices.Clone(pp.log), func(l place) bool { return l.batch == batch && l.pos == from.pos })
	pp.undo(0)
	for _, l := range append(log, to...) {
		pp.put(l.batch, l.slice, l.pos, l.n)
	}
	return true
}
