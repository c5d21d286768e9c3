// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// The search for one quota: nodes that hold everybody, then candidate domains from
// the smallest level upward, within a level in the order of a lower bound of their
// cost. Constructing comes first, in all of them that could be cheapest; then exact search goes through
// those where constructing failed or left a doubt. The search ends when no
// candidate left can be cheaper than the best placement found.

const (
	// tinyNodes and tinyMembers bound the fabrics in which all of the budget may
	// go into proving the optimum, and the domains in which some of it may. In
	// larger ones a good placement now is worth more than the proof.
	tinyNodes, tinyMembers = 48, 48
	// maxTried bounds the candidates of a larger fabric in which constructing
	// goes on after it has worked, and maxImproved those searched exactly then.
	maxTried, maxImproved = 8, 4
	// exactShare of the budget, at least, goes to one exact search while nothing
	// is known, improveShare when it could only improve what is.
	exactShare, improveShare = 8, 128
	// constructHalf of the budget is left for exact search.
	constructHalf = 2
	// maxOrders bounds the batch orders tried in one domain: all of them for a
	// gang of few members, the first that works for a larger one.
	maxOrders, fewMembers = 6, 256
	// maxAlone bounds the nodes that are tried for everybody before the domains are.
	maxAlone = 16
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
	p       *problem
	partial *partial
	total   []int64 // members to place, by role
	count   int64
	demand  []int64 // of each dimension, by all of them
	sums    []*resourceSums
	best    *solution
	// proven says that nothing was left out of the search.
	proven bool
	tiny   bool
	// multiNodeOnly says that what one node alone holds was looked at.
	multiNodeOnly bool
	// triedAfterSuccess counts candidates since constructing worked.
	triedAfterSuccess int
	// unproven are candidates that may hold something cheaper.
	unproven []unproven
	tried    map[fingerprint]bool
}

type unproven struct {
	depth      int
	v          int32
	lowerBound []int64
}

// solve finds the cheapest placement of the problem's batches; whole says that
// the answer, also "none", is certain. The board keeps what was learned.
func (p *problem) solve(pp *partial) (best *solution, whole bool) {
	s := &search{p: p, partial: pp, total: make([]int64, len(p.roles)), proven: true, tried: map[fingerprint]bool{}}
	for i := range p.batches {
		s.total[p.batches[i].role] += p.batches[i].total()
		s.count += p.batches[i].total()
	}
	if s.count == 0 {
		return &solution{cost: pp.cost(nil, p.broken(pp.f, nil))}, true
	}
	s.tiny = len(pp.f.names) <= tinyNodes && s.count <= tinyMembers
	s.addDemand()
	s.trySingleNodes()
	for depth := max(pp.f.levels, p.required); depth >= p.required; depth-- {
		s.tryLevel(depth)
	}
	s.searchUnproven()
	return s.best, s.proven
}

// addDemand sums what all members take together. One role alone needs no
// tallies: its slots say it all.
func (s *search) addDemand() {
	if len(s.p.roles) == 1 {
		return
	}
	s.demand = make([]int64, len(s.p.dims))
	for d := range s.p.dims {
		s.sums = append(s.sums, s.p.snap.resourceSums(&s.p.dims[d]))
		for r, n := range s.total {
			s.demand[d] += n * s.p.roles[r].takes[d]
		}
	}
}

// trySingleNodes constructs on single nodes. When it cannot go through all that matter, it
// leaves them to the search of the domains that they are in.
func (s *search) trySingleNodes() {
	depth := s.partial.f.levels + 1
	if s.p.required >= depth || s.nodes(0, 0) > 1 {
		return
	}
	c := s.candidates(depth)
	for range maxAlone {
		x, ok := c.pop()
		if !ok {
			s.multiNodeOnly = true
			return
		}
		bound := c.lowerBound(x)
		if s.beaten(bound) {
			s.multiNodeOnly = true
			return
		}
		if s.p.left()*constructHalf <= s.p.size {
			break
		}
		s.try(depth, x.v, bound)
	}
	s.unproven, s.triedAfterSuccess = nil, 0
}

// tryLevel constructs in the candidates of one depth.
func (s *search) tryLevel(depth int) {
	c := s.candidates(depth)
	for x, ok := c.pop(); ok; x, ok = c.pop() {
		bound := c.lowerBound(x)
		if s.beaten(bound) {
			return
		}
		if s.p.left()*constructHalf <= s.p.size || s.triedAfterSuccess >= maxTried && !s.tiny {
			s.proven = false
			return
		}
		s.try(depth, x.v, bound)
		if s.beaten(bound) {
			return // no bound after this one is lower
		}
	}
}

// beaten says that nothing with that lower bound can be the best.
func (s *search) beaten(bound []int64) bool {
	return s.best != nil && slices.Compare(bound, s.best.cost) >= 0
}

// try constructs in one domain, unless in one just like it that was done.
func (s *search) try(depth int, v int32, bound []int64) {
	like, plain := s.fingerprint(depth, v)
	if plain && s.tried[like] {
		return
	}
	refused := s.p.stats.FitsRefused
	s.p.stats.DomainsTried++
	found := s.construct(depth, v)
	if s.best != nil {
		s.triedAfterSuccess++
	}
	s.tried[like] = plain && refused == s.p.stats.FitsRefused
	if found && s.beaten(bound) || !s.mayHold(depth, v) {
		return
	}
	s.unproven = append(s.unproven, unproven{depth, v, bound})
}

// searchUnproven searches the doubtful candidates exactly.
func (s *search) searchUnproven() {
	improved := 0
	for i, d := range s.unproven {
		if s.beaten(d.lowerBound) {
			continue
		}
		steps := s.p.left()
		if left := len(s.unproven) - i; !s.tiny {
			steps = min(steps, max(s.p.size/exactShare, steps/left))
		}
		if !s.tiny && s.best != nil {
			steps = min(steps, s.p.size/improveShare)
			improved++
		}
		if steps <= 0 || improved > maxImproved || s.best != nil && !s.small(d) {
			s.proven = false
			return
		}
		s.prove(d, steps)
	}
}

// small says that exact search has a chance to improve on a placement.
func (s *search) small(d unproven) bool {
	lo, hi := s.partial.f.span(d.depth, d.v)
	return hi-lo <= tinyNodes && s.count <= tinyMembers
}

// prove searches one domain exactly.
func (s *search) prove(d unproven, steps int) {
	var known []int64
	if s.best != nil {
		known = s.best.cost
	}
	e := newExact(s.partial, d.depth, d.v, known, steps)
	if !e.run() {
		s.proven = false
	}
	if e.places != nil {
		s.best = &solution{e.places, e.costToBeat}
	}
}

// mayHold says that no count rules a domain out: not the slots of any role, nor
// the sum of what all roles take.
func (s *search) mayHold(depth int, v int32) bool {
	for r, n := range s.total {
		if n > 0 && s.partial.sum(r, depth, v) < n {
			return false
		}
	}
	for d, n := range s.demand {
		if n > s.sums[d].in(s.partial.f, depth, v) {
			return false
		}
	}
	return true
}

// construct tries batch orders in a domain and keeps the best placement; found
// says that it is from here. What filters refuse on the way lowers the counts, so
// the domain is tried again on the truer ones.
func (s *search) construct(depth int, v int32) (found bool) {
	for _, order := range s.orders() {
		for range maxRefusals {
			refused := s.p.stats.FitsRefused
			ok := s.attempt(depth, v, order)
			found = found || ok
			if s.p.stats.FitsRefused == refused || !s.mayHold(depth, v) {
				break
			}
		}
		if found && s.count > fewMembers || s.p.spent() || !s.mayHold(depth, v) {
			break
		}
	}
	return found
}

// attempt constructs once and keeps the result when it is the best so far. Once
// something is known the filters are asked only for what would be cheaper by
// counts.
func (s *search) attempt(depth int, v int32, order []int32) bool {
	if ask := s.p.filters; ask != nil && s.best != nil {
		s.p.filters = nil
		cheaper := s.build(depth, v, order) != nil
		s.p.filters = ask
		if !cheaper {
			return false
		}
	}
	built := s.build(depth, v, order)
	if built != nil {
		s.best = built
	}
	return built != nil
}

// build constructs once; nil when that fails or is no cheaper than the best.
func (s *search) build(depth int, v int32, order []int32) (built *solution) {
	c := newConstruct(s.partial, depth, v, order)
	if !c.run(0) {
		return nil
	}
	s.partial.compact()
	cost := s.partial.cost(nil, s.p.broken(s.partial.f, s.partial.log))
	if s.best == nil || slices.Compare(cost, s.best.cost) < 0 {
		built = &solution{slices.Clone(s.partial.log), cost}
	}
	s.partial.undo(0)
	return built
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
