// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"
)

// placeExtras places as many members beyond the quorum (the members that meet the gang's
// minimums) as have room, as near to the quorum as possible. A group without members in
// the quorum gets at least its own minimum or no node at all.
func (p *problem) placeExtras(pp *partial) {
	home := len(p.batches)
	quorum := p.counts(pp)
	p.batchesFor(p.allMembers())
	if len(p.batches) == home {
		return
	}
	depth, v, ok := p.base(pp)
	if !ok {
		return
	}
	filler := newExtrasFiller(pp, depth, v)
	for from := home; from < len(p.batches); {
		group := p.groupOf(from)
		to := from + 1
		for to < len(p.batches) && p.groupOf(to) == group {
			to++
		}
		mark := len(pp.log)
		for i := from; i < to; i++ {
			filler.fillWhatFits(int32(i))
		}
		if !p.complete(pp, group, quorum) {
			pp.undo(mark)
		}
		from = to
	}
}

func (p *problem) groupOf(batch int) string { return p.roles[p.batches[batch].role].spec.Group }

// counts returns, by role, the number of bound members and of members with a node in pp.
func (p *problem) counts(pp *partial) []int {
	out := make([]int, len(p.roles))
	for r := range p.roles {
		out[r] = len(p.roles[r].bound)
	}
	for _, l := range pp.log {
		out[p.batches[l.batch].role] += int(l.n)
	}
	return out
}

// complete returns true if a group has members in the quorum or has now reached its
// minimums, so that its members may keep their nodes. A group without minimums needs all
// its members.
func (p *problem) complete(pp *partial, group string, quorum []int) bool {
	i := slices.IndexFunc(p.gang.Groups, func(g Group) bool { return g.Name == group })
	if i < 0 {
		return true
	}
	now, sum, members := p.counts(pp), 0, 0
	stated := p.gang.Groups[i].Min
	for r := range p.roles {
		spec := p.roles[r].spec
		if spec.Group != group {
			continue
		}
		if quorum[r] > 0 {
			return true
		}
		if now[r] < spec.Min {
			return false
		}
		sum += now[r]
		members += len(spec.Members)
		stated += spec.Min
	}
	if stated == 0 {
		return sum == members
	}
	return sum >= p.gang.Groups[i].Min
}

// extrasFiller fills nodes batch by batch (a batch is members of one role that are placed
// together). Of each batch it places as many members as have room. It does not backtrack.
type extrasFiller struct{ c *construct }

func newExtrasFiller(pp *partial, depth int, v int32) *extrasFiller {
	filler := &extrasFiller{newConstruct(pp, depth, v, nil)}
	for _, l := range pp.log {
		filler.settle(l)
	}
	return filler
}

// settle takes the place of a member into account: each set of members that must or should
// be in one domain, and to which the member's batch belongs, gets the domain of its node. A
// set that should be in one domain, but has another one already, is given up. The member's
// domain of level Slice.Spread (no two slices share a domain of it) is closed to other
// slices.
func (filler *extrasFiller) settle(l place) {
	f := filler.c.partial.f
	for _, n := range filler.c.of(l.batch) {
		x := &filler.c.choices[n]
		v := f.at(x.depth, l.pos)
		switch {
		case x.state == undecided:
			x.state, x.v = settled, v
		case x.soft && x.v != v:
			x.state = waived
		}
	}
	if x := &filler.c.p.batches[l.batch]; x.rule.spread > 0 {
		filler.c.taken[spreadKey{x.role, f.at(x.rule.spread, l.pos)}] = true
	}
}

// fillWhatFits places as many members of a batch, or as many whole slices, as have room. It
// returns the domain in which it looked for room, as a depth of the topology tree and a
// vertex (index at this depth).
func (filler *extrasFiller) fillWhatFits(batch int32) (depth int, v int32) {
	c := filler.c
	for n := c.undecided(batch); n >= 0; n = c.undecided(batch) {
		filler.prefer(batch, n)
	}
	depth, v, ok := c.home(batch)
	if !ok {
		return c.depth, c.v
	}
	if c.p.ordered() {
		filler.fillInOrder(batch, depth, v)
		return depth, v
	}
	c.partial.fillSome(batch, depth, v, c.taken)
	return depth, v
}

// fillInOrder places as many members of a batch in a domain as the Spread and Affinity
// rules accept after the members that have nodes. Of a batch of slices (runs of members
// that belong together) it places none if the rules do not accept those that fit.
func (filler *extrasFiller) fillInOrder(batch int32, depth int, v int32) {
	c := filler.c
	if x := &c.p.batches[batch]; !x.sliced {
		s := orderFiller{partial: c.partial, homes: []batchHome{{batch, depth, v, x.total()}}, ask: true}
		s.run()
		return
	}
	mark, taken := len(c.partial.log), maps.Clone(c.taken)
	c.partial.fillSome(batch, depth, v, c.taken)
	places, ok, _ := c.p.inOrder(c.partial.log)
	if !ok {
		c.partial.undo(mark)
		c.taken = taken
		return
	}
	c.partial.log = append(c.partial.log[:0], places...)
}

// prefer chooses a domain for choice n, a set of members that must or should be in one
// domain: the domain that holds the most members of the batch. Among equal domains it takes
// a domain in use, then the domain with the least room. It gives up a preferred level if no
// domain holds the whole batch. It marks a required level as impossible if there is no
// domain of the level.
func (filler *extrasFiller) prefer(batch int32, n int) {
	c := filler.c
	x, role := &c.choices[n], c.p.batches[batch].role
	depth, v, _ := c.home(batch)
	lo, hi := c.partial.f.span(depth, v)
	want := c.p.batches[batch].total()
	best, found := int32(0), false
	for w := c.partial.f.at(x.depth, lo); lo < hi && w <= c.partial.f.at(x.depth, hi-1); w++ {
		if !c.partial.f.real(x.depth, w) {
			continue
		}
		if !found || filler.nearer(x.depth, w, best, role, want) {
			best, found = w, true
		}
	}
	x.state, x.v = settled, best
	if x.soft && (!found || c.partial.sum(role, x.depth, best) < want) {
		x.state = waived
	}
	if !found && !x.soft {
		x.state = nowhere
	}
}

// nearer returns true if domain a is better than b for want members of a role: more of
// them fit or, if equally many fit, a is in use or has less room.
func (filler *extrasFiller) nearer(depth int, a, b int32, role int, want int64) bool {
	sa, sb := filler.c.partial.sum(role, depth, a), filler.c.partial.sum(role, depth, b)
	if ma, mb := min(sa, want), min(sb, want); ma != mb {
		return ma > mb
	}
	if oa, ob := filler.c.partial.isOpen(depth, a), filler.c.partial.isOpen(depth, b); oa != ob {
		return oa
	}
	return sa < sb
}
