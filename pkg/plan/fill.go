// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "math/bits"

// fill puts up to want members of a batch (members of one role that are placed together)
// into the domain with vertex v (its index at the depth) and returns the number placed. At
// each depth of the tree it uses as few domains without members of the gang as possible.
func (pp *partial) fill(batch int32, depth int, v int32, want int64) int64 {
	if depth > pp.f.levels {
		return pp.fillNode(batch, v, want, int64(pp.slots(pp.p.batches[batch].role, v)))
	}
	if depth == pp.f.levels {
		return pp.fillNodes(batch, v, want)
	}
	role := pp.p.batches[batch].role
	x := &pp.f.tables[depth].verts[v]
	var k picker
	for c := x.kidLo; c < x.kidHi; c++ {
		k.add(option{id: c, room: pp.sum(role, depth+1, c)}, pp.opened[depth+1][c] > 0)
	}
	pp.p.steps += int(x.kidHi-x.kidLo)/scanSteps + 1
	k.ready()
	left := want
	for left > 0 {
		o, ok := k.next(left)
		if !ok {
			break
		}
		left -= pp.fill(batch, depth+1, o.id, min(left, o.room))
	}
	return want - left
}

// scanSteps is the number of scanned vertices (domains or nodes) that cost one step of
// the search budget.
const scanSteps = 16

// fillNodes fills the nodes of a domain of the finest level: first with members whose
// follower devices (NICs) are all in alignment units (such as PCIe roots) with their
// anchors (GPUs), then with any members that fit by counts.
func (pp *partial) fillNodes(batch int32, v int32, want int64) int64 {
	role := pp.p.batches[batch].role
	roll := pp.p.roles[role].roll
	got := int64(0)
	if len(roll.shape.pairs) > 0 && !roll.shape.need.Aligned {
		got = pp.pickNodes(batch, v, want, func(pos int32) int64 {
			return int64(min(pp.slots(role, pos), roll.clean.at(pos)-pp.on(role, pos)))
		})
	}
	if got == want {
		return got
	}
	return got + pp.pickNodes(batch, v, want-got, func(pos int32) int64 { return int64(pp.slots(role, pos)) })
}

func (pp *partial) pickNodes(batch int32, v int32, want int64, room func(pos int32) int64) int64 {
	lo, hi := pp.f.span(pp.f.levels, v)
	var k picker
	role := pp.p.batches[batch].role
	rail := pp.commonRail(role, lo, hi)
	for pos := lo; pos < hi; pos++ {
		off := rail >= 0 && pp.railsOf(role, pos)>>rail&1 == 0
		k.add(option{pos, room(pos), off}, pp.used(pos))
	}
	pp.stats.NodesTouched += int(hi - lo)
	pp.p.steps += int(hi-lo)/scanSteps + 1
	k.ready()
	left := want
	for left > 0 {
		o, ok := k.next(left)
		if !ok {
			break
		}
		left -= pp.fillNode(batch, o.id, left, o.room)
	}
	return want - left
}

// fillNode puts up to want members of a batch on the node at pos, as many as the filters
// accept, and returns the number. room may be out of date: since it was read, other members
// may have been placed, and rules between members or the items (such as volumes) that these
// members take may leave less room. For roles with such rules or items, fillNode reads it
// again.
func (pp *partial) fillNode(batch, pos int32, want, room int64) int64 {
	role := pp.p.batches[batch].role
	if pp.p.roles[role].linked {
		room = min(room, int64(pp.slots(role, pos)))
	}
	n := pp.admitted(role, pos, int32(min(want, room)))
	if n > 0 {
		pp.put(batch, 0, pos, n)
	}
	return int64(n)
}

// commonRail returns the rail (index of an alignment unit, such as a PCIe root) that most
// nodes offer to members of a role, among the nodes at lo to hi-1 that have room. It
// returns -1 if all these nodes offer the same rails, or none.
func (pp *partial) commonRail(role int, lo, hi int32) int {
	if len(pp.p.roles[role].roll.shape.pairs) == 0 {
		return -1
	}
	var votes [maxRails]int
	all, any := ^uint64(0), uint64(0)
	for pos := lo; pos < hi; pos++ {
		if pp.slots(role, pos) == 0 {
			continue
		}
		set := pp.railsOf(role, pos)
		all, any = all&set, any|set
		for s := set; s != 0; s &= s - 1 {
			votes[bits.TrailingZeros64(s)]++
		}
	}
	if any == 0 || all == any {
		return -1
	}
	best := 0
	for i, n := range votes {
		if n > votes[best] {
			best = i
		}
	}
	return best
}

// railsOf returns the rails of an unused node: its alignment units (such as PCIe roots)
// that each hold all the devices of one member of a role. The result has one bit for each
// unit.
func (pp *partial) railsOf(role int, pos int32) uint64 {
	return pp.offers.of(role, &pp.p.roles[role].spec.Need, pp.p.snap.class(pos))
}
