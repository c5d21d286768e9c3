// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// The search for one quorum choice (a number of members of each role that is enough for
// the gang to start) has three parts. First it tries single nodes that hold all members.
// Then it tries candidate domains (such as racks) from the finest level of the network
// upward, within a level in ascending order of the lower bound of their cost. It constructs
// a placement in each. Last, exact search (which tries all placements) covers the unproven
// candidates: construction failed there or did not reach the lower bound. The search ends
// when no remaining candidate can be cheaper than the best placement found.

const (
	// A search with at most tinyNodes nodes in the fabric and at most tinyMembers members
	// may spend the whole budget on the proof that its placement is the cheapest. In a
	// larger fabric, such a gang may spend a part of the budget on this proof, in domains
	// with at most tinyNodes nodes. Otherwise, a good placement now is worth more than the
	// proof.
	tinyNodes, tinyMembers = 48, 48
	// maxTried is the maximum number of candidate domains tried after the first placement is
	// found, unless the search is tiny (see tinyNodes). maxImproved is the maximum number of
	// exact searches after a placement is found.
	maxTried, maxImproved = 8, 4
	// maxTriedInOrder replaces maxTried for gangs with Spread or Affinity rules: their
	// members are placed one by one, so that each domain takes longer.
	maxTriedInOrder = 2
	// Without a placement so far, one exact search may always use 1/exactShare of the step
	// budget, if so many steps are left. An exact search that can only improve a placement
	// may use at most 1/improveShare.
	exactShare, improveShare = 8, 128
	// 1/constructHalf of the step budget is reserved for exact search.
	constructHalf = 2
	// maxOrders is the maximum number of orders of the batches (members of one role that are
	// placed together) tried in one domain. A gang of at most fewMembers members tries all
	// of these orders. A larger gang stops at the first success.
	maxOrders, fewMembers = 6, 256
	// maxSingleNodes is the maximum number of single nodes tried before the domains.
	maxSingleNodes = 16
	// maxRefusals is how many times a domain is tried, at most, with one order of the
	// batches. It is tried again after the filters (the caller's check of a member on a
	// node) refused nodes in it.
	maxRefusals = 4
)

// solution is a placement of every member of the batches, and its cost.
type solution struct {
	places []place
	cost   []int64
}

// search is the state of the search for one quorum choice.
type search struct {
	bounds
	count int64 // members to place
	best  *solution
	// proven is true while no domain or placement that could be cheaper has been skipped.
	proven bool
	tiny   bool
	// triedAfterSuccess counts the candidate domains tried since the first successful
	// construction.
	triedAfterSuccess int
	// unproven has the candidate domains that may hold a cheaper placement than the best.
	unproven []unproven
	// tried has, by contents of the domains tried, whether the search may skip further
	// domains with the same contents.
	tried map[fingerprint]bool
}

// unproven is a candidate domain whose cheapest placement is not known for certain.
// lowerBound is the lower bound of the cost of a placement in this domain.
type unproven struct {
	depth      int
	v          int32
	lowerBound []int64
}

// solve finds the cheapest placement of the problem's batches. It returns nil if it finds
// none. proven is true if no cheaper placement exists or, with the result nil, if none
// exists. After solve, pp still has the limits that refusals of the filters set.
func solve(p *problem, pp *partial) (best *solution, proven bool) {
	s := &search{bounds: newBounds(p, pp), proven: true, tried: map[fingerprint]bool{}}
	for _, n := range s.total {
		s.count += n
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

// trySingleNodes constructs placements that use one node. It sets multiNodeOnly if no
// other single node matters: the bounds are then about placements on several nodes.
// Otherwise the search of larger domains covers the remaining nodes.
func (s *search) trySingleNodes() {
	depth := s.partial.f.levels + 1
	if s.p.required >= depth || s.nodes(0, 0) > 1 {
		return
	}
	c := newCandidates(&s.bounds, depth)
	for range maxSingleNodes {
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

// tryLevel constructs placements in the candidate domains of one depth, those with the
// lowest bound of cost first.
func (s *search) tryLevel(depth int) {
	c := newCandidates(&s.bounds, depth)
	for x, ok := c.pop(); ok; x, ok = c.pop() {
		bound := c.lowerBound(x)
		if s.beaten(bound) {
			return
		}
		if s.p.left()*constructHalf <= s.p.size || s.triedAfterSuccess >= s.maxTried() && !s.tiny {
			s.proven = false
			return
		}
		s.try(depth, x.v, bound)
		if s.beaten(bound) {
			return // no bound after this one is lower
		}
	}
}

func (s *search) maxTried() int {
	if s.p.ordered() {
		return maxTriedInOrder
	}
	return maxTried
}

// beaten returns true if no placement that costs at least bound can become the best.
func (s *search) beaten(bound []int64) bool {
	return s.best != nil && slices.Compare(bound, s.best.cost) >= 0
}

// try constructs a placement in the domain with vertex v, unless it already tried a
// domain with equal contents. If a cheaper placement may exist there, it adds the domain
// to unproven.
func (s *search) try(depth int, v int32, bound []int64) {
	print, plain := s.partial.fingerprint(depth, v)
	plain = plain && (len(s.p.apart) == 0 || len(s.p.bound) == 0)
	if plain && s.tried[print] {
		return
	}
	refused := s.p.stats.FitsRefused
	s.p.stats.DomainsTried++
	found := s.construct(depth, v)
	if s.best != nil {
		s.triedAfterSuccess++
	}
	s.tried[print] = plain && refused == s.p.stats.FitsRefused
	if found && s.beaten(bound) || !s.mayHold(depth, v) {
		return
	}
	s.unproven = append(s.unproven, unproven{depth, v, bound})
}

// searchUnproven runs exact search on the candidate domains whose cheapest placement is
// not known for certain.
func (s *search) searchUnproven() {
	improved := 0
	for i, domain := range s.unproven {
		if s.beaten(domain.lowerBound) {
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
		if steps <= 0 || improved > maxImproved || s.best != nil && !s.small(domain) {
			s.proven = false
			return
		}
		s.prove(domain, steps)
	}
}

// small returns true if the domain and the gang are small enough that exact search has a
// chance to improve a placement.
func (s *search) small(d unproven) bool {
	lo, hi := s.partial.f.span(d.depth, d.v)
	return hi-lo <= tinyNodes && s.count <= tinyMembers
}

// prove runs exact search on one domain, with this number of steps, and keeps a placement
// that is cheaper than the best.
func (s *search) prove(d unproven, steps int) {
	var toBeat []int64
	if s.best != nil {
		toBeat = s.best.cost
	}
	e := newExact(s.partial, d.depth, d.v, toBeat, steps)
	if !e.run() {
		s.proven = false
	}
	if e.places != nil {
		s.best = &solution{e.places, e.costToBeat}
	}
}

// construct tries to place the batches in the domain with vertex v in several orders and
// keeps the best placement. found is true if one of the orders led to a placement cheaper
// than the best before it. Refusals of the filters lower the counts; construct then tries
// again with the corrected counts.
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

// attempt constructs a placement for one order of the batches and keeps it if it is the
// best so far. It returns false if it keeps none. After a first placement, it calls the
// filters only if a placement without them would be cheaper than the best.
func (s *search) attempt(depth int, v int32, order []int32) bool {
	if filters := s.p.filters; filters != nil && s.best != nil {
		s.p.filters = nil
		cheaper := s.build(depth, v, order) != nil
		s.p.filters = filters
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

// build constructs a placement for one order of the batches. It returns nil if this fails
// or the placement is no cheaper than the best.
func (s *search) build(depth int, v int32, order []int32) (built *solution) {
	c := newConstruct(s.partial, depth, v, order)
	if !c.run(0) {
		return nil
	}
	if !s.p.ordered() {
		s.partial.compact()
	}
	cost := s.partial.cost(nil, s.p.broken(s.partial.f, s.partial.log))
	if s.best == nil || slices.Compare(cost, s.best.cost) < 0 {
		built = &solution{slices.Clone(s.partial.log), cost}
	}
	s.partial.undo(0)
	return built
}

// orders lists orders in which the batches are placed: the order of the problem (the role
// of which the fewest members fit in the fabric is first), its reverse, then orders with
// one batch moved to the front.
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
