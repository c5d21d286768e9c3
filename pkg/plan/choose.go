// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// chosen is a quorum with its placement.
type chosen struct {
	quorum  []int
	partial *partial
	*solution
}

// quorumSearch solves quorums one after the other. They share the problem. Its batches are
// those of the last solved quorum.
type quorumSearch struct {
	p *problem
	// last is the partial placement of the last solved quorum, the only one that matches the
	// problem's batches.
	last *partial
}

// choose places all members if that breaks no more wishes and uses no more domains than the
// cheapest quorum. Otherwise it places the cheapest quorum. proven is true if no part of
// the search was cut short.
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

// cheapest solves each quorum and returns the quorum with the lowest cost.
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
// members of each role, within 1/parts of the remaining steps. The second result is true if
// the search has shown that there is no cheaper placement, or, with a nil result, none.
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

// restore puts the placement of a choice back. If another quorum was solved after it,
// restore makes the batches again on a partial placement that has all filter refusals.
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
