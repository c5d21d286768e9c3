// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// candidates yields the domains of one depth that, by counts, have room for all members to
// place, in ascending order of the lower bound of their cost. The bound covers only
// placements over several children of the domain: a child that holds all members is a
// candidate of its own, one depth below.
//
// The search usually needs only the first candidate. The first pop finds it by a scan. The
// second pop makes a heap of all other candidates.
type candidates struct {
	b           *bounds
	depth       int
	first, last int32 // the range of vertices of this depth
	popped      int   // the number of calls of pop
	top         int32 // the vertex of the candidate that the first pop returned
	heap        []candidate
}

// candidate is the domain with vertex v (its index at the depth), with the terms of its
// lower bound that differ between the domains of one depth: the children used beyond the
// first, whether some NIC must be unpaired (in an alignment unit, such as a PCIe root,
// without a GPU of its member), the nodes used, and the members of the leading role (of
// which the fewest fit in the whole topology tree) that fit in the domain.
type candidate struct {
	v                            int32
	apart, unpaired, nodes, room int64
}

// newCandidates returns the candidate domains of a depth. If members are bound, only the
// domain that holds all bound members is a candidate.
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

// before reports whether candidate a has a smaller lower bound of cost than b or, if both
// are equal, comes first in fabric order (the order of the topology tree).
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

// fuller reports whether candidate a comes before b if their other terms are equal. The
// candidate with less room comes first: less room in the domain itself, then in each domain
// around it, the smallest first. With equal room, fabric order decides.
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

// pop removes and returns the best remaining candidate.
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

// best scans all domains for the best candidate. The terms apart, unpaired and nodes are
// costly to compute. Once it has a candidate with the least possible values of these
// terms, best examines only domains with less room than this candidate.
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

// collect makes a heap of all candidate domains except the one that the first pop
// returned.
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

// price sets the terms apart, unpaired and nodes of a candidate's lower bound. The term
// room comes after these three in the comparison.
func (c *candidates) price(x *candidate) {
	x.unpaired, x.nodes = c.b.unpaired(c.depth, x.v), c.b.nodes(c.depth, x.v)
	if c.depth < c.b.partial.f.levels {
		x.apart = c.b.apart(c.depth, x.v)
	}
}

// lowerBound returns a cost vector. No placement in candidate x over several children of
// its domain is cheaper.
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
