// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// candidates is a heap of domains that hold every role by count, the lowest
// bound of the cost first. A bound covers the placements that no domain below
// the candidate holds; those were that domain's own.
type candidates struct {
	heap   []candidate
	bounds []int64
	width  int
}

type candidate struct {
	v  int32
	at int32 // of its bound in bounds
}

func (c *candidates) bound(x candidate) []int64 {
	i := int(x.at) * c.width
	return c.bounds[i : i+c.width]
}

func (c *candidates) before(a, b candidate) bool {
	if o := slices.Compare(c.bound(a), c.bound(b)); o != 0 {
		return o < 0
	}
	return a.v < b.v
}

func (c *candidates) pop() (candidate, bool) {
	if len(c.heap) == 0 {
		return candidate{}, false
	}
	top := c.heap[0]
	last := len(c.heap) - 1
	c.heap[0] = c.heap[last]
	c.heap = c.heap[:last]
	c.sink(0)
	return top, true
}

func (c *candidates) sink(i int) {
	for {
		k := 2*i + 1
		if k >= len(c.heap) {
			return
		}
		if k+1 < len(c.heap) && c.before(c.heap[k+1], c.heap[k]) {
			k++
		}
		if !c.before(c.heap[k], c.heap[i]) {
			return
		}
		c.heap[i], c.heap[k] = c.heap[k], c.heap[i]
		i = k
	}
}

// candidates collects the domains of a depth that have room by every count and
// hold all bound members.
func (s *search) candidates(depth int) *candidates {
	f := s.b.f
	c := &candidates{width: s.p.width()}
	first, last := int32(0), int32(len(f.names))-1
	if depth <= f.levels {
		last = int32(len(f.tables[depth].verts)) - 1
	}
	if n := len(s.p.bound); n > 0 {
		first = f.at(depth, s.p.bound[0])
		last = min(last, f.at(depth, s.p.bound[n-1]))
		if first != last {
			return c
		}
	}
	for v := first; v <= last; v++ {
		if s.mayHold(depth, v) && s.eligible(depth, v) {
			c.heap = append(c.heap, candidate{v, int32(len(c.heap))})
		}
	}
	c.bounds = make([]int64, 0, len(c.heap)*c.width)
	for _, x := range c.heap {
		s.bound(c, depth, x.v)
	}
	s.p.steps += int(last-first)/scanSteps + 1
	for i := len(c.heap)/2 - 1; i >= 0; i-- {
		c.sink(i)
	}
	return c
}

// eligible says that a domain lies in a real one of the required level.
func (s *search) eligible(depth int, v int32) bool {
	if s.p.required == 0 {
		return true
	}
	lo, hi := s.b.f.span(depth, v)
	return lo < hi && s.b.f.real(s.p.required, s.b.f.at(s.p.required, lo))
}

// width is the number of terms in a cost.
func (p *problem) width() int { return 4 + 2*len(p.terms) }

// bound appends a lower bound of the cost of placements in a domain.
func (s *search) bound(c *candidates, depth int, v int32) {
	f := s.b.f
	wishes, apart := int64(0), int64(0)
	if depth < f.levels {
		apart = s.apart(depth, v)
		if s.p.preferred > max(depth, s.p.required) {
			wishes = 1
		}
	}
	c.bounds = append(c.bounds, wishes)
	for _, d := range s.p.terms {
		if d <= depth {
			c.bounds = append(c.bounds, 0)
		} else {
			c.bounds = append(c.bounds, apart)
		}
	}
	c.bounds = append(c.bounds, s.unpaired(depth, v), s.nodes(depth, v))
	lo, _ := f.span(depth, v)
	lead := s.p.roles[0].roll
	for d := f.levels; d > 0; d-- {
		if d <= depth {
			c.bounds = append(c.bounds, lead.sum[d][f.at(d, lo)])
		} else {
			c.bounds = append(c.bounds, s.total[0])
		}
	}
	c.bounds = append(c.bounds, s.total[0])
}

// apart is the fewest further domains one depth below that a placement uses
// which none of them holds alone.
func (s *search) apart(depth int, v int32) int64 {
	f := s.b.f
	x := &f.tables[depth].verts[v]
	least := int64(1)
	for r, n := range s.total {
		most := int64(0)
		for k := x.kidLo; n > 0 && k < x.kidHi; k++ {
			most = max(most, s.b.sum(r, depth+1, k))
		}
		if most > 0 {
			least = max(least, (n+most-1)/most-1)
		}
	}
	return least
}

// unpaired says whether some follower must stay unpaired.
func (s *search) unpaired(depth int, v int32) int64 {
	if depth > s.b.f.levels {
		return 0
	}
	for r, n := range s.total {
		if roll := s.p.roles[r].roll; n > roll.cleanSum[depth][v] {
			return 1
		}
	}
	return 0
}

// nodes is the fewest nodes that a role alone needs.
func (s *search) nodes(depth int, v int32) int64 {
	least := int64(1)
	for r, n := range s.total {
		if n == 0 || depth > s.b.f.levels {
			continue
		}
		if most := int64(s.p.roles[r].roll.most[depth][v]); most > 0 {
			least = max(least, (n+most-1)/most)
		}
	}
	return least
}
