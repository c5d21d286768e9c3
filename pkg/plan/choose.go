// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// chosen is a quorum (a number of members of each role) with its placement.
type chosen struct {
	quorum  []int
	partial *partial
	*solution
}

// quorumSearch searches placements for one quorum (a number of members of each role)
// after the other. All these searches share one problem (the compiled request). Its
// batches (members of one role that are placed together) are those of the last quorum.
type quorumSearch struct {
	p *problem
	// last is the partial placement (the members placed so far) of the last solved quorum,
	// the only one that matches the problem's batches.
	last *partial
}

// choose returns the placement of all members if it breaks no more wishes (preferred
// levels) and uses no more domains than the cheapest quorum, else the placement of the
// cheapest quorum. It returns nil without a placement. proven is true if no part of the
// search was cut short.
func (s *quorumSearch) choose() (c *chosen, proven bool) {
	members := s.p.allMembers()
	quorums, listed := s.p.quorumChoices()
	if len(quorums) == 1 && slices.Equal(quorums[0], members) {
		all, allProven := s.solveQuorum(members, 1)
		return all, listed && allProven
	}
	all, allProven := s.solveQuorum(members, 2)
	if all != nil && !slices.ContainsFunc(s.p.locality(all.cost), func(v int64) bool { return v > 0 }) {
		return all, allProven
	}
	best, bestProven := s.cheapest(quorums)
	proven = listed && bestProven
	switch {
	case all != nil && (best == nil || slices.Compare(s.p.locality(all.cost), s.p.locality(best.cost)) <= 0):
		return all, proven && allProven
	case best == nil:
		return nil, proven
	}
	return best, proven && allProven
}

// cheapest searches a placement for each quorum (a number of members of each role) and
// returns the cheapest, nil if there is none. proven is true if no search was cut short.
func (s *quorumSearch) cheapest(quorums [][]int) (best *chosen, proven bool) {
	proven = true
	for i, quorum := range quorums {
		solved, solvedProven := s.solveQuorum(quorum, len(quorums)-i)
		proven = proven && solvedProven
		if solved != nil && (best == nil || slices.Compare(solved.cost, best.cost) < 0) {
			best = solved
		}
	}
	return best, proven
}

// solveQuorum searches for the cheapest placement of one quorum, which has the number of
// members of each role, within 1/parts of the remaining steps. It returns nil if it finds
// none. The second result is true if the search has shown that no cheaper placement exists,
// or none at all if it found none.
func (s *quorumSearch) solveQuorum(quorum []int, parts int) (*chosen, bool) {
	s.p.allot(parts)
	s.p.reset()
	s.p.batchesFor(quorum)
	pp := newPartial(s.p)
	best, proven := solve(s.p, pp)
	s.last = pp
	if best == nil {
		return nil, proven
	}
	return &chosen{quorum, pp, best}, proven
}

// restore returns a partial placement with the members of c on their nodes. If another
// quorum was searched after c, restore first makes the batches of c again. The problem
// still knows what the filters have refused.
func (s *quorumSearch) restore(c *chosen) *partial {
	pp := c.partial
	if pp != s.last {
		s.p.reset()
		s.p.batchesFor(c.quorum)
		pp = newPartial(s.p)
	}
	for _, l := range c.places {
		pp.put(l.batch, l.slice, l.pos, l.n)
	}
	return pp
}
