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
	s           *search
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
	f, lead := c.s.partial.f, c.s.p.roles[0].roll
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
		x := candidate{v: v, room: c.s.room(c.depth, v)}
		if ideal && !c.fuller(&x, &top) || !c.s.mayHold(c.depth, v) || !c.s.eligible(c.depth, v) {
			continue
		}
		if c.s.price(c.depth, &x); !ok || c.before(&x, &top) {
			top, ok = x, true
			ideal = top.apart == 0 && top.unpaired == 0 && top.nodes == c.s.nodes(0, 0)
		}
	}
	c.s.p.steps += int(c.last-c.first)/scanSteps + 1
	c.top = top.v
	return top, ok
}

// collect makes the heap of all candidates except the one that best returned.
func (c *candidates) collect() {
	for v := c.first; v <= c.last; v++ {
		if v != c.top && c.s.mayHold(c.depth, v) && c.s.eligible(c.depth, v) {
			x := candidate{v: v, room: c.s.room(c.depth, v)}
			c.s.price(c.depth, &x)
			c.heap = append(c.heap, x)
		}
	}
	heapify(c.heap, c.before)
}

// candidates returns the domains of a depth that have room by every count and
// hold all bound members.
func (s *search) candidates(depth int) *candidates {
	f := s.partial.f
	c := &candidates{s: s, depth: depth, last: f.width(depth) - 1}
	if n := len(s.p.bound); n > 0 {
		c.first, c.last = f.at(depth, s.p.bound[0]), f.at(depth, s.p.bound[n-1])
		if c.first != c.last {
			c.first, c.last = 0, -1
		}
	}
	return c
}

// eligible returns true if a domain lies in a real domain of the required level.
func (s *search) eligible(depth int, v int32) bool {
	if s.p.required == 0 {
		return true
	}
	lo, hi := s.partial.f.span(depth, v)
	return lo < hi && s.partial.f.real(s.p.required, s.partial.f.at(s.p.required, lo))
}

// price computes the terms of a candidate's bound that come before its room.
func (s *search) price(depth int, x *candidate) {
	x.unpaired, x.nodes = s.unpaired(depth, x.v), s.nodes(depth, x.v)
	if depth < s.partial.f.levels {
		x.apart = s.apart(depth, x.v)
	}
}

// room returns the leading role's room in a domain.
func (s *search) room(depth int, v int32) int64 {
	switch lead := s.p.roles[0].roll; {
	case depth > s.partial.f.levels:
		return int64(lead.slots.at(v))
	case depth > 0:
		return lead.sum[depth][v]
	}
	return s.total[0]
}

// lowerBound returns a lower bound of the cost of placements in a candidate.
func (c *candidates) lowerBound(x candidate) []int64 {
	p, f := c.s.p, c.s.partial.f
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
	singleNode, multiNode := int64(0), c.s.total[0]
	if c.depth > f.levels {
		singleNode, multiNode = x.room, 0
	}
	out = append(out, x.unpaired, x.nodes, singleNode)
	lo, _ := f.span(c.depth, x.v)
	for d := f.levels; d > 0; d-- {
		if d <= c.depth {
			out = append(out, p.roles[0].roll.sum[d][f.at(d, lo)])
		} else {
			out = append(out, c.s.total[0])
		}
	}
	return append(out, multiNode)
}

// apart returns the fewest further domains, one depth below, that a placement
// uses which none of these domains holds alone.
func (s *search) apart(depth int, v int32) int64 {
	f := s.partial.f
	x := &f.tables[depth].verts[v]
	least := int64(1)
	for r, n := range s.total {
		most := int64(0)
		for k := x.kidLo; n > 0 && k < x.kidHi; k++ {
			most = max(most, s.partial.sum(r, depth+1, k))
		}
		if most > 0 {
			least = max(least, (n+most-1)/most-1)
		}
	}
	return least
}

// unpaired returns 1 if some follower must stay unpaired, else 0.
func (s *search) unpaired(depth int, v int32) int64 {
	for r, n := range s.total {
		roll := s.p.roles[r].roll
		clean := int64(0)
		if depth > s.partial.f.levels {
			clean = int64(roll.clean.at(v))
		} else {
			clean = roll.cleanSum[depth][v]
		}
		if n > clean {
			return 1
		}
	}
	return 0
}

// nodes returns the fewest nodes that a single role needs. Placements on one node
// are left out once trySingleNodes has covered them.
func (s *search) nodes(depth int, v int32) int64 {
	if depth > s.partial.f.levels {
		return 1
	}
	least := int64(1)
	if s.multiNodeOnly {
		least = 2
	}
	for r, n := range s.total {
		if n == 0 {
			continue
		}
		if most := int64(s.p.roles[r].roll.most[depth][v]); most > 0 {
			least = max(least, (n+most-1)/most)
		}
	}
	return least
}
