// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// Clear first chooses victims (occupants that may be evicted) in candidate domains, the domain
// with the lowest bound of the victims' cost first. Then it searches these domains exactly for
// cheaper victims. The search ends when no bound is below the cost of the best victims, or
// when the step budget is used up.

const (
	// fewVictims is the largest number of victims in a domain for which the exact search also
	// compares the placements without different victims of equal cost. It then also plans
	// the gang each time that it decides that a victim stays.
	fewVictims = 16
	// manyVictims is the largest number of victims in a domain that is searched exactly.
	manyVictims = 512
	// maxCleared is the largest number of domains in which victims are chosen without exact
	// search. It does not apply if there are at most fewVictims victims in all.
	maxCleared = 12
)

// victimSet is a set of victims with its cost, and the cost of the placement (plan) that the
// gang has without them.
type victimSet struct {
	gone       []bool
	cost, plan []int64
}

// clearSearch is the search for the cheapest victims.
type clearSearch struct {
	*prober
	bounds *coverBounds
	// none counts the slots (members that fit) while no victim is gone.
	none *emptied
	// best has the best victims so far, nil if there are none.
	best *victimSet
	// proven is true while the search has skipped no victims that could cost less than the
	// best. least is true while it has also skipped none that could cost the same.
	proven, least bool
}

// clearDomain is a domain that, by counts, may hold the members of the focus (the roles that
// one domain must hold) if all victims leave.
type clearDomain struct {
	v int32
	// victims has the victims that use nodes in the domain, and those that must leave with
	// them.
	victims []int32
	// bound is a lower bound of the cost of victims without which the domain holds the members.
	bound []int64
}

// newClearSearch prepares a search. p is the gang compiled for the nodes while no victim is
// gone.
func newClearSearch(w *prober, p *problem) *clearSearch {
	quorums := w.quorums(p)
	needed := make([]int64, len(p.roles))
	for _, quorum := range quorums {
		for r, n := range quorum {
			needed[r] = max(needed[r], n)
		}
	}
	f := p.focusOf(needed)
	s := &clearSearch{prober: w, none: newEmptied(p, quorums, f, len(w.list)), proven: true, least: true}
	all := s.none.clone()
	for i := range w.list {
		all.remove(w.victims, i)
	}
	s.bounds = newCoverBounds(w.victims, all)
	return s
}

// quorums returns, for each quorum (enough members for the gang to start), its number of pending
// members by role (members with equal needs). It returns nil if there are too many quorums to
// list. The number is 0 for a role with alternative needs.
func (w *prober) quorums(p *problem) [][]int64 {
	list, complete := p.quorumChoices()
	if !complete {
		return nil
	}
	var out [][]int64
	for _, counts := range list {
		pending := make([]int64, len(counts))
		for r, n := range counts {
			if spec := p.roles[r].spec; len(spec.Alternatives) == 0 {
				pending[r] = int64(max(0, n-len(p.roles[r].bound)))
			}
		}
		out = append(out, pending)
	}
	return out
}

// run finds the cheapest victims. everything is a placement for the case that all victims are
// gone.
func (s *clearSearch) run(everything placement) {
	// 1. Choose victims in each domain, lowest bound first.
	domains := s.domains()
	for i := range domains {
		if s.beaten(domains[i].bound) && !s.tiny() {
			break
		}
		if i >= maxCleared && !s.tiny() || s.spent() {
			break
		}
		s.stats.Domains++
		s.choose(&domains[i])
	}
	// 2. If that failed, begin with all victims, and put back those that are not necessary.
	if s.best == nil {
		s.improve(s.bounds.all.gone, everything)
	}
	// 3. Search exactly where a bound is below the cost of the best victims.
	for i := range domains {
		s.prove(&domains[i])
	}
	s.proven = s.proven && !s.exhausted
	s.least = s.least && s.proven
}

// tiny reports whether there are so few victims in all that the search compares the placements
// without different victims of equal cost.
func (s *clearSearch) tiny() bool { return len(s.list) <= fewVictims }

func (s *clearSearch) spent() bool { return s.stats.Steps >= s.options.ClearBudget }

// beaten reports whether the best victims so far cost no more than bound, a lower bound of the
// cost of others. These others can then only be better by their placement.
func (s *clearSearch) beaten(bound []int64) bool {
	return s.best != nil && slices.Compare(bound, s.best.cost) >= 0
}

// skip records that the search left out sets of victims that cost at least bound.
func (s *clearSearch) skip(bound []int64) {
	order := -1
	if s.best != nil {
		order = slices.Compare(bound, s.best.cost)
	}
	s.proven = s.proven && order >= 0
	s.least = s.least && order > 0
}

// domains returns the domains that may hold the members of the focus, lowest bound first.
func (s *clearSearch) domains() []clearDomain {
	var out []clearDomain
	f := s.none.p.snap.fabric
	touching := s.touching()
	for v := range f.width(s.none.focus.depth) {
		if !s.bounds.all.mayHold(v) {
			continue
		}
		d := clearDomain{v: v, victims: touching(v)}
		bound, _, ok := s.bounds.bound(s.none, d.victims, v, nil)
		s.stats.Steps += len(d.victims)
		if ok {
			d.bound = bound
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b clearDomain) int { return slices.Compare(a.bound, b.bound) })
	return out
}

// touching returns a function that lists the victims of a domain. The function lists all
// victims if the focus has no level, if other members of the gang may run in other domains, or
// if there are few victims and filters, which may depend on victims in other domains.
func (s *clearSearch) touching() func(v int32) []int32 {
	focus, f := s.none.focus, s.none.p.snap.fabric
	if focus.depth == 0 || !focus.all || s.fits != nil && s.tiny() {
		every := make([]int32, len(s.list))
		for i := range every {
			every[i] = int32(i)
		}
		return func(int32) []int32 { return every }
	}
	byDomain := make([]map[int32]bool, f.width(focus.depth))
	for i := range s.list {
		for _, u := range s.list[i].uses {
			v := f.at(focus.depth, u.pos)
			if byDomain[v] == nil {
				byDomain[v] = map[int32]bool{}
			}
			byDomain[v][int32(i)] = true
			for _, k := range s.list[i].before {
				byDomain[v][k] = true
			}
		}
	}
	return func(v int32) []int32 { return sortedKeys(byDomain[v]) }
}

// offer makes a set of victims the best one if the set is better than the best so far and the
// filters accept a placement without its victims. It returns false if the filters refuse. It
// does not call the filters for a set that costs more than the best, and returns true.
func (s *clearSearch) offer(gone []bool) bool {
	cost := s.cost(gone)
	if s.best != nil && slices.Compare(cost, s.best.cost) > 0 {
		return true
	}
	found := s.probe(gone, true)
	if !found.placed {
		return false
	}
	if s.best == nil || slices.Compare(cost, s.best.cost) < 0 || slices.Compare(found.cost, s.best.plan) < 0 {
		s.best = &victimSet{slices.Clone(gone), cost, found.cost}
	}
	return true
}

// choose offers victims of a domain from two orders: the order that empties the cheapest nodes
// first, and the ascending order of cost. It omits the second if the first succeeds and the
// domain has more than manyVictims victims.
func (s *clearSearch) choose(d *clearDomain) {
	found := s.chooseFrom(s.cheapestNodes(d), d.v)
	if !found || len(d.victims) <= manyVictims {
		s.chooseFrom(d.victims, d.v)
	}
}

// chooseFrom finds the shortest prefix of an order of victims without which domain v has room,
// and offers those of its victims that are necessary. If the filters refuse them, chooseFrom
// searches once more and calls the filters for each set that it tries. It returns false if it
// found no victims.
func (s *clearSearch) chooseFrom(order []int32, v int32) bool {
	for _, ask := range []bool{false, true} {
		gone, found := s.shortest(order, v, ask)
		if !found.placed {
			return false
		}
		if s.offer(s.reduce(gone, found, ask)) {
			return true
		}
	}
	return false
}

// improve offers the necessary part of a set of victims. found is a placement without this set
// that the filters accept.
func (s *clearSearch) improve(gone []bool, found placement) {
	for _, ask := range []bool{false, true} {
		if s.offer(s.reduce(gone, found, ask)) {
			return
		}
	}
	s.offer(gone)
}

// shortest returns the shortest prefix of an order of victims without which the gang has a
// placement, and this placement. Its field placed is false if no prefix will do. First, counts
// for domain v rule out short prefixes. shortest calls the filters only if ask is true.
func (s *clearSearch) shortest(order []int32, v int32, ask bool) ([]bool, placement) {
	e := s.none.clone()
	low := 0
	for ; low < len(order) && !e.mayHold(v); low++ {
		s.removeAll(e, order[low])
	}
	s.stats.Steps += low
	if !e.mayHold(v) {
		return nil, placement{}
	}
	try := func(n int) ([]bool, placement) {
		gone := make([]bool, len(s.list))
		for _, i := range order[:n] {
			gone[i] = true
		}
		s.closed(gone)
		return gone, s.probe(gone, ask)
	}
	best, found := try(low)
	if found.placed || low == len(order) {
		return best, found
	}
	high := len(order)
	if best, found = try(high); !found.placed {
		return best, found
	}
	for low++; low < high; {
		middle := (low + high) / 2
		if gone, placed := try(middle); placed.placed {
			best, found, high = gone, placed, middle
		} else {
			low = middle + 1
		}
	}
	return best, found
}

// removeAll counts victim i as gone in e, and so the victims that must leave before it.
func (s *clearSearch) removeAll(e *emptied, i int32) {
	e.remove(s.victims, int(i))
	for _, k := range s.list[i].before {
		e.remove(s.victims, int(k))
	}
}

// reduce returns the necessary part of a set of victims. It puts back victims, the most costly
// first, as long as the gang has a placement, but begins with all those that use no node of the
// placement in found. Afterwards no remaining victim can be put back alone. reduce calls the
// filters only if ask is true.
func (s *clearSearch) reduce(gone []bool, found placement, ask bool) []bool {
	if fewer := s.on(gone, found.nodes); !ask || s.probe(fewer, true).placed {
		gone = fewer
	}
	e := s.none.clone()
	for i, is := range gone {
		if is {
			e.remove(s.victims, i)
		}
	}
	for again := true; again; {
		again = false
		for i := len(gone) - 1; i >= 0; i-- {
			if !e.gone[i] || s.needed(e.gone, i) {
				continue
			}
			if s.spared(e, i, ask) {
				again = again || len(s.list[i].before) > 0
			}
		}
	}
	return e.gone
}

// spared puts victim i back if the gang still has a placement, and reports whether it did.
func (s *clearSearch) spared(e *emptied, i int, ask bool) bool {
	e.restore(s.victims, i)
	s.stats.Steps++
	if e.mayHoldSome() && s.probe(e.gone, ask).placed {
		return true
	}
	e.remove(s.victims, i)
	return false
}
