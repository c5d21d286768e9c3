// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// Plan places the gang, or says why not. It is a pure function: the same
// snapshot, gang and answers of fits give the same Decision, in whatever order
// nodes, roles and members came. A nil fits accepts everything.
func Plan(s *Snapshot, g Gang, fits Fits, o Options) Decision {
	d := Decision{Gang: g.Name}
	// 1. Is the request sound, and what does it mean here?
	if f := g.check(&s.layout); f != nil {
		return d.rejected(Reason{Kind: BadRequest, Subject: f.subject, Detail: f.detail})
	}
	p, reason := compile(s, &g, fits, o, &d.Stats)
	if reason != nil {
		return d.rejected(*reason)
	}
	d.Wanted = p.pending()
	// 2. Search: the whole gang, or else the cheapest quorum.
	c, known := p.choose()
	d.Stats.Steps, d.Stats.Proven = p.steps, known
	// 3. Nothing: why not?
	if c == nil {
		d.Exhausted = !known
		d.Reasons = p.explain(d.Exhausted)
		return d
	}
	// 4. The rest of the gang as near as it can be.
	b := p.restore(c)
	p.placeExtras(b)
	// 5. Members to nodes, in rank order.
	p.decide(&d, c, b)
	return d
}

// rejected is the decision that says no for one reason, for certain.
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

// chosen is a quota and its placement.
type chosen struct {
	quorum  []int
	partial *partial
	*solution
}

// choose places everyone when that breaks no more wishes and uses no more
// domains than the cheapest quorum, and else that quorum. known says that the
// answer is certain.
func (p *problem) choose() (c *chosen, known bool) {
	every := p.allMembers()
	quotas, known := p.quorumChoices()
	if len(quotas) == 1 && slices.Equal(quotas[0], every) {
		all, sure := p.solveQuorum(every, 1)
		return all, known && sure
	}
	all, sure := p.solveQuorum(every, 2)
	if all != nil && !slices.ContainsFunc(p.locality(all.cost), func(v int64) bool { return v > 0 }) {
		return all, sure
	}
	best, certain := p.cheapest(quotas)
	known = known && certain
	switch {
	case all != nil && (best == nil || slices.Compare(p.locality(all.cost), p.locality(best.cost)) <= 0):
		return all, known && sure
	case best == nil:
		return nil, known
	}
	return best, known && sure
}

// cheapest solves each quota and takes the best.
func (p *problem) cheapest(quotas [][]int) (best *chosen, known bool) {
	known = true
	for i, q := range quotas {
		solved, sure := p.solveQuorum(q, len(quotas)-i)
		known = known && sure
		if solved != nil && (best == nil || slices.Compare(solved.cost, best.cost) < 0) {
			best = solved
		}
	}
	return best, known
}

// solveQuorum solves one quota with one of so many parts of the budget that is left.
func (p *problem) solveQuorum(quota []int, parts int) (*chosen, bool) {
	p.allot(parts)
	p.reset()
	p.batchesFor(quota)
	pp := newPartial(p)
	best, whole := p.solve(pp)
	p.lastPartial = pp
	if best == nil {
		return nil, whole
	}
	return &chosen{quota, pp, best}, whole
}

// restore puts the places of a choice on its board. When another quota was tried
// after it, its batches are made again, on a board that knows all refusals.
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
