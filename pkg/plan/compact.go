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
func (b *board) compact() {
	for i := range b.p.batches {
		if !b.p.batches[i].sliced {
			for b.emptyOne(int32(i)) {
				b.p.steps++
			}
		}
	}
}

// emptyOne moves the members of the least filled node that can be emptied.
func (b *board) emptyOne(batch int32) bool {
	role := b.p.batches[batch].role
	roomy := func(l place) bool { return l.batch == batch && b.cleanRoom(role, l.pos) > 0 }
	if !slices.ContainsFunc(b.log, roomy) {
		return false
	}
	seats := b.seatsOf(batch)
	spare := int32(0)
	for _, s := range seats {
		spare += b.cleanRoom(role, s.pos)
	}
	for _, s := range seats {
		if s.n > spare-b.cleanRoom(role, s.pos) {
			continue
		}
		if b.move(batch, s, seats) {
			return true
		}
	}
	return false
}

// seatsOf lists the nodes of a batch, the least filled first.
func (b *board) seatsOf(batch int32) []place {
	var seats []place
	for _, l := range b.log {
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
func (b *board) cleanRoom(role int, pos int32) int32 {
	return max(0, min(b.slots(role, pos), b.p.roles[role].roll.clean.at(pos)-b.on(role, pos)))
}

// move takes a node's members of a batch to the other seats, as far as the
// filters agree to all of it.
func (b *board) move(batch int32, from place, seats []place) bool {
	role := b.p.batches[batch].role
	left := from.n
	var to []place
	for i := len(seats) - 1; i >= 0 && left > 0; i-- {
		s := seats[i]
		if s.pos == from.pos {
			continue
		}
		if n := b.ask(role, s.pos, min(left, b.cleanRoom(role, s.pos))); n > 0 {
			to = append(to, place{batch, 0, s.pos, n})
			left -= n
		}
	}
	if left > 0 {
		return false
	}
	log := slices.DeleteFunc(slices.Clone(b.log), func(l place) bool { return l.batch == batch && l.pos == from.pos })
	b.undo(0)
	for _, l := range append(log, to...) {
		b.put(l.batch, l.slice, l.pos, l.n)
	}
	return true
}
