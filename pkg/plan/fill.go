// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// fill puts up to want members of a batch into a domain, opening as few domains
// as it can at each depth, and returns how many it put.
func (b *board) fill(batch int32, depth int, v int32, want int64) int64 {
	if depth > b.f.levels {
		return b.fillNode(batch, v, want, int64(b.slots(b.p.batches[batch].role, v)))
	}
	if depth == b.f.levels {
		return b.fillNodes(batch, v, want)
	}
	role := b.p.batches[batch].role
	x := &b.f.tables[depth].verts[v]
	var k picker
	for c := x.kidLo; c < x.kidHi; c++ {
		k.add(option{id: c, room: b.sum(role, depth+1, c)}, b.opened[depth+1][c] > 0)
	}
	b.p.steps += int(x.kidHi-x.kidLo)/scanSteps + 1
	k.ready()
	left := want
	for left > 0 {
		o, ok := k.next(left)
		if !ok {
			break
		}
		left -= b.fill(batch, depth+1, o.id, min(left, o.room))
	}
	return want - left
}

// scanSteps is how many vertices looked at are worth one step.
const scanSteps = 16

// fillNodes fills the nodes of a finest domain: first as far as every member
// can be fully paired, then by counts alone.
func (b *board) fillNodes(batch int32, v int32, want int64) int64 {
	role := b.p.batches[batch].role
	roll := b.p.roles[role].roll
	got := int64(0)
	if len(roll.shape.pairs) > 0 && !roll.shape.need.Aligned {
		got = b.pickNodes(batch, v, want, func(pos int32) int64 {
			return int64(min(b.slots(role, pos), roll.clean.at(pos)-b.on(role, pos)))
		})
	}
	if got == want {
		return got
	}
	return got + b.pickNodes(batch, v, want-got, func(pos int32) int64 { return int64(b.slots(role, pos)) })
}

func (b *board) pickNodes(batch int32, v int32, want int64, room func(pos int32) int64) int64 {
	lo, hi := b.f.span(b.f.levels, v)
	var k picker
	role := b.p.batches[batch].role
	rail := b.commonRail(role, lo, hi)
	for pos := lo; pos < hi; pos++ {
		off := rail >= 0 && b.offers(role, pos)>>rail&1 == 0
		k.add(option{pos, room(pos), off}, b.used(pos))
	}
	b.stats.NodesTouched += int(hi - lo)
	b.p.steps += int(hi-lo)/scanSteps + 1
	k.ready()
	left := want
	for left > 0 {
		o, ok := k.next(left)
		if !ok {
			break
		}
		left -= b.fillNode(batch, o.id, left, o.room)
	}
	return want - left
}

// fillNode puts what the filters let onto one node.
func (b *board) fillNode(batch, pos int32, want, room int64) int64 {
	n := b.ask(b.p.batches[batch].role, pos, int32(min(want, room)))
	if n > 0 {
		b.put(batch, 0, pos, n)
	}
	return int64(n)
}
