// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// Plan places the gang, or returns the reasons why it cannot. It is a pure
// function: the same snapshot, gang and answers of fits give the same Decision,
// whatever the order of nodes, roles and members. A nil fits accepts everything.
func Plan(s *Snapshot, g Gang, fits Fits, o Options) Decision {
	d := Decision{Gang: g.Name}
	// 1. Check the request and compile it against this snapshot.
	if f := g.check(&s.layout); f != nil {
		return d.rejected(Reason{Kind: BadRequest, Subject: f.subject, Detail: f.detail})
	}
	p, reason := compile(s, &g, fits, o, &d.Stats)
	if reason != nil {
		return d.rejected(*reason)
	}
	d.Wanted = p.pending()
	// 2. Search for the whole gang, or else for the cheapest quorum.
	c, proven := p.choose()
	d.Stats.Steps, d.Stats.Proven = p.steps, proven
	// 3. Without a placement, explain why.
	if c == nil {
		d.Exhausted = !proven
		d.Reasons = p.explain(d.Exhausted)
		return d
	}
	// 4. Place the members beyond the quorum as near to it as there is room.
	b := p.restore(c)
	p.placeExtras(b)
	// 5. Assign the nodes to members, in rank order.
	p.decide(&d, c, b)
	return d
}

// rejected is the decision with this single reason. The "no" is proven.
func (d Decision) rejected(r Reason) Decision {
	d.Reasons = []Reason{r}
	d.Stats.Proven = true
	return d
}

// pending counts the members without a node.
func (p *problem) pending() int {
	n := 0
	for r := range p.roles {
		for i := range p.roles[r].slices {
			n += len(p.roles[r].slices[i].pending)
		}
	}
	return n
}

// chosen is a quorum with its placement.
type chosen struct {
	quorum  []int
	partial *partial
	*solution
}

// choose places all members if that breaks no more wishes and uses no more
// domains than the cheapest quorum. Otherwise it places that quorum. proven is
// true if no part of the search was cut short.
func (p *problem) choose() (c *chosen, proven bool) {
	members := p.allMembers()
	quorums, listed := p.quorumChoices()
	if len(quorums) == 1 && slices.Equal(quorums[0], members) {
		all, allProven := p.solveQuorum(members, 1)
		return all, listed && allProven
	}
	all, allProven := p.solveQuorum(members, 2)
	if all != nil && !slices.ContainsFunc(p.locality(all.cost), func(v int64) bool { return v > 0 }) {
		return all, allProven
	}
	best, bestProven := p.cheapest(quorums)
	proven = listed && bestProven
	switch {
	case all != nil && (best == nil || slices.Compare(p.locality(all.cost), p.locality(best.cost)) <= 0):
		return all, proven && allProven
	case best == nil:
		return nil, proven
	}
	return best, proven && allProven
}

// cheapest solves each quorum and returns the one of least cost.
func (p *problem) cheapest(quorums [][]int) (best *chosen, proven bool) {
	proven = true
	for i, quorum := range quorums {
		solved, solvedProven := p.solveQuorum(quorum, len(quorums)-i)
		proven = proven && solvedProven
		if solved != nil && (best == nil || slices.Compare(solved.cost, best.cost) < 0) {
			best = solved
		}
	}
	return best, proven
}

// solveQuorum solves one quorum with the given fraction, 1/parts, of the budget
// that is left.
func (p *problem) solveQuorum(quorum []int, parts int) (*chosen, bool) {
	p.allot(parts)
	p.reset()
	p.batchesFor(quorum)
	pp := newPartial(p)
	best, proven := p.solve(pp)
	p.lastPartial = pp
	if best == nil {
		return nil, proven
	}
	return &chosen{quorum, pp, best}, proven
}

// restore puts the placement of a choice back. If another quorum was solved after
// it, the batches are made again on a partial placement that has all refusals.
func (p *problem) restore(c *chosen) *partial {
	pp := c.partial
	if pp != p.lastPartial {
		p.reset()
		p.batchesFor(c.quorum)
		pp = newPartial(p)
	}
	for _, l := range c.places {
		pp.put(l.batch, l.slice, l.pos, l.n)
	}
	return pp
}
