// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// candidates hands out the domains of one depth that hold every role by count,
// the lowest bound of the cost first. A bound covers the placements that no
// domain below the candidate holds; those below were candidates of their own.
//
// Usually only the first candidate is needed. It is found by a scan, and the
// second call makes a heap of the others.
type candidates struct {
	b           *bounds
	depth       int
	first, last int32 // the range of vertices
	popped      int
	top         int32
	heap        []candidate
}

// candidate is a domain with those terms of its bound that differ among the
// candidates of a depth. The room of coarser domains is left out.
type candidate struct {
	v                            int32
	apart, unpaired, nodes, room int64
}

// newCandidates returns the domains of a depth that have room by every count and
// hold all bound members.
func newCandidates(b *bounds, depth int) *candidates {
	f := b.partial.f
	c := &candidates{b: b, depth: depth, last: f.width(depth) - 1}
	if n := len(b.p.bound); n > 0 {
		c.first, c.last = f.at(depth, b.p.bound[0]), f.at(depth, b.p.bound[n-1])
		if c.first != c.last {
			c.first, c.last = 0, -1
		}
	}
	return c
}

// before orders candidates by their bounds, equal bounds in fabric order.
func (c *candidates) before(a, b *candidate) bool {
	switch {
	case a.apart != b.apart:
		return a.apart < b.apart
	case a.unpaired != b.unpaired:
		return a.unpaired < b.unpaired
	case a.nodes != b.nodes:
		return a.nodes < b.nodes
	}
	return c.fuller(a, b)
}

// fuller is the last part of before: the candidate with less room comes first, in
// itself and then in the domains around it.
func (c *candidates) fuller(a, b *candidate) bool {
	if a.room != b.room {
		return a.room < b.room
	}
	f, lead := c.b.partial.f, c.b.p.roles[0].roll
	for d, x, y := c.depth, a.v, b.v; d > 1 && x != y; d-- {
		x, y = f.parent(d, x), f.parent(d, y)
		if rx, ry := lead.sum[d-1][x], lead.sum[d-1][y]; rx != ry {
			return rx < ry
		}
	}
	return a.v < b.v
}

// pop takes out the best candidate left.
func (c *candidates) pop() (candidate, bool) {
	c.popped++
	if c.popped == 1 {
		return c.best()
	}
	if c.popped == 2 {
		c.collect()
	}
	if len(c.heap) == 0 {
		return candidate{}, false
	}
	var top candidate
	top, c.heap = removeAt(c.heap, 0, c.before)
	return top, true
}

// best scans all domains for the best candidate. Once it has one with the least
// possible apart, unpaired and nodes, which are costly to compute, it looks only
// at domains with less room.
func (c *candidates) best() (top candidate, ok bool) {
	ideal := false
	for v := c.first; v <= c.last; v++ {
		x := candidate{v: v, room: c.b.room(c.depth, v)}
		if ideal && !c.fuller(&x, &top) || !c.b.mayHold(c.depth, v) || !c.b.eligible(c.depth, v) {
			continue
		}
		if c.price(&x); !ok || c.before(&x, &top) {
			top, ok = x, true
			ideal = top.apart == 0 && top.unpaired == 0 && top.nodes == c.b.nodes(0, 0)
		}
	}
	c.b.p.steps += int(c.last-c.first)/scanSteps + 1
	c.top = top.v
	return top, ok
}

// collect makes the heap of all candidates except the one that best returned.
func (c *candidates) collect() {
	for v := c.first; v <= c.last; v++ {
		if v != c.top && c.b.mayHold(c.depth, v) && c.b.eligible(c.depth, v) {
			x := candidate{v: v, room: c.b.room(c.depth, v)}
			c.price(&x)
			c.heap = append(c.heap, x)
		}
	}
	heapify(c.heap, c.before)
}

// price computes the terms of a candidate's bound that come before its room.
func (c *candidates) price(x *candidate) {
	x.unpaired, x.nodes = c.b.unpaired(c.depth, x.v), c.b.nodes(c.depth, x.v)
	if c.depth < c.b.partial.f.levels {
		x.apart = c.b.apart(c.depth, x.v)
	}
}

// lowerBound returns a lower bound of the cost of placements in a candidate.
func (c *candidates) lowerBound(x candidate) []int64 {
	p, f := c.b.p, c.b.partial.f
	out := make([]int64, 1, 4+2*len(p.terms))
	if c.depth < f.levels && p.preferred > max(c.depth, p.required) {
		out[0] = 1
	}
	for _, d := range p.terms {
		if d <= c.depth {
			out = append(out, 0)
		} else {
			out = append(out, x.apart)
		}
	}
	singleNode, multiNode := int64(0), c.b.total[0]
	if c.depth > f.levels {
		singleNode, multiNode = x.room, 0
	}
	out = append(out, x.unpaired, x.nodes, singleNode)
	lo, _ := f.span(c.depth, x.v)
	for d := f.levels; d > 0; d-- {
		if d <= c.depth {
			out = append(out, p.roles[0].roll.sum[d][f.at(d, lo)])
		} else {
			out = append(out, c.b.total[0])
		}
	}
	return append(out, multiNode)
}
