// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// The search for one quota: candidate domains from the smallest level upward,
// within a level in the order of a lower bound of their cost. It ends when no
// candidate left can be cheaper than the best placement found.

const (
	// smallNodes and smallMembers bound the domains in which the optimum is
	// proven by exact search rather than approached.
	smallNodes, smallMembers = 48, 48
	// maxTried bounds the larger candidates tried after one has worked.
	maxTried = 8
	// exactShare of the budget goes to one exact search in a large domain.
	exactShare = 8
	// maxOrders bounds the batch orders tried in one domain.
	maxOrders = 6
	// maxRefusals bounds how often a domain is tried again because filters
	// refused nodes on the way.
	maxRefusals = 4
)

// solution is a placement of every member of the batches.
type solution struct {
	places []place
	cost   []int64
}

// search is the work on one quota.
type search struct {
	p     *problem
	b     *board
	total []int64 // members to place, by role
	count int64
	best  *solution
	// whole says that nothing was left out of the search.
	whole bool
	// improved counts candidates tried since one worked.
	improved int
}

// solve finds the cheapest placement of the problem's batches; whole says that
// the answer, also "none", is certain. The board keeps what was learned.
func (p *problem) solve(b *board) (best *solution, whole bool) {
	s := &search{p: p, b: b, total: make([]int64, len(p.roles)), whole: true}
	for i := range p.batches {
		s.total[p.batches[i].role] += p.batches[i].total()
		s.count += p.batches[i].total()
	}
	if s.count == 0 {
		return &solution{cost: b.cost(nil, p.broken(b.f, nil))}, true
	}
	for depth := max(b.f.levels, p.required); depth >= p.required; depth-- {
		s.level(depth)
	}
	return s.best, s.whole
}

// level tries the candidates of one depth.
func (s *search) level(depth int) {
	c := s.candidates(depth)
	for x, ok := c.pop(); ok; x, ok = c.pop() {
		if s.best != nil && slices.Compare(c.bound(x), s.best.cost) >= 0 {
			return
		}
		if s.p.spent() {
			s.whole = false
			return
		}
		if s.best != nil {
			s.improved++
		}
		if s.improved > maxTried && !s.small(depth, x.v) {
			s.whole = false
			return
		}
		s.try(depth, x.v, c.bound(x))
	}
}

// small says that exact search may take all of the budget in a domain.
func (s *search) small(depth int, v int32) bool {
	lo, hi := s.b.f.span(depth, v)
	return hi-lo <= smallNodes && s.count <= smallMembers
}

// try looks for a placement in one domain that is cheaper than the best known.
func (s *search) try(depth int, v int32, bound []int64) {
	s.p.stats.DomainsTried++
	found := s.construct(depth, v)
	if found && slices.Compare(s.best.cost, bound) <= 0 {
		return
	}
	small := s.small(depth, v)
	if s.best != nil && !small {
		s.whole = false
		return
	}
	if !s.mayHold(depth, v) {
		return
	}
	steps := s.p.budget - s.p.steps
	if !small {
		steps = min(steps, s.p.budget/exactShare)
	}
	var known []int64
	if s.best != nil {
		known = s.best.cost
	}
	e := newExact(s.b, depth, v, known, steps)
	if !e.run() {
		s.whole = false
	}
	if e.places != nil {
		s.best = &solution{e.places, e.bound}
	}
}

// mayHold says that no simple count rules a domain out.
func (s *search) mayHold(depth int, v int32) bool {
	if len(s.p.roles) == 1 || !s.mayHoldCounts(depth, v) {
		return s.mayHoldCounts(depth, v)
	}
	need := make([]int64, len(s.p.dims))
	for r, n := range s.total {
		for d, take := range s.p.roles[r].takes {
			need[d] += n * take
		}
	}
	lo, hi := s.b.f.span(depth, v)
	for pos := lo; pos < hi; pos++ {
		if !s.holdsAny(pos) {
			continue
		}
		c := s.p.snap.class(pos)
		for d := range need {
			need[d] -= max(0, s.p.dims[d].free(c))
		}
	}
	s.p.stats.NodesTouched += int(hi - lo)
	return slices.Max(append(need, 0)) <= 0
}

func (s *search) holdsAny(pos int32) bool {
	for r, n := range s.total {
		if n > 0 && s.b.slots(r, pos) > 0 {
			return true
		}
	}
	return false
}

// construct tries batch orders in a domain and keeps the best placement; found
// says that there was one. What filters refuse on the way lowers the counts, so
// the domain is tried again on the truer ones.
func (s *search) construct(depth int, v int32) (found bool) {
	for _, order := range s.orders() {
		for range maxRefusals {
			refused := s.p.stats.FitsRefused
			ok := s.attempt(depth, v, order)
			found = found || ok
			if s.p.stats.FitsRefused == refused || !s.mayHoldCounts(depth, v) {
				break
			}
		}
		if found || s.p.spent() || !s.mayHoldCounts(depth, v) {
			break
		}
	}
	return found
}

func (s *search) mayHoldCounts(depth int, v int32) bool {
	for r, n := range s.total {
		if n > 0 && s.b.sum(r, depth, v) < n {
			return false
		}
	}
	return true
}

// attempt constructs once and keeps the result when it is the best so far.
func (s *search) attempt(depth int, v int32, order []int32) bool {
	c := newConstruct(s.b, depth, v, order)
	if !c.run(0) {
		return false
	}
	cost := s.b.cost(nil, s.p.broken(s.b.f, s.b.log))
	if s.best == nil || slices.Compare(cost, s.best.cost) < 0 {
		s.best = &solution{slices.Clone(s.b.log), cost}
	}
	s.b.undo(0)
	return true
}

// orders lists batch orders: as they are (largest need first), backwards, then
// each batch brought to the front.
func (s *search) orders() [][]int32 {
	n := len(s.p.batches)
	plain := make([]int32, n)
	for i := range plain {
		plain[i] = int32(i)
	}
	out := [][]int32{plain}
	if n < 2 {
		return out
	}
	back := slices.Clone(plain)
	slices.Reverse(back)
	out = append(out, back)
	for i := 1; i < n-1 && len(out) < maxOrders; i++ {
		o := append([]int32{int32(i)}, plain[:i]...)
		out = append(out, append(o, plain[i+1:]...))
	}
	return out
}
