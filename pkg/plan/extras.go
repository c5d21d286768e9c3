// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// placeExtras adds the members beyond the quorum: as many as find room where the
// request lets them be, as near to the quorum as they can. A group of which the
// quorum has nobody comes as far as its own minimum or not at all.
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
	j := newExtrasFiller(pp, depth, v)
	for from := home; from < len(p.batches); {
		group := p.groupOf(from)
		to := from + 1
		for to < len(p.batches) && p.groupOf(to) == group {
			to++
		}
		mark := len(pp.log)
		for i := from; i < to; i++ {
			j.fillWhatFits(int32(i))
		}
		if !p.complete(pp, group, quorum) {
			pp.undo(mark)
		}
		from = to
	}
}

func (p *problem) groupOf(batch int) string { return p.roles[p.batches[batch].role].spec.Group }

// counts is the members of each role that run or have been put.
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

// complete says that a group is part of the quorum or has now reached what it
// asks for: its minimums, or everybody when it states none.
func (p *problem) complete(pp *partial, group string, quorum []int) bool {
	i := slices.IndexFunc(p.gang.Groups, func(g Group) bool { return g.Name == group })
	if i < 0 {
		return true
	}
	now, sum, members := p.counts(pp), 0, 0
	asked := p.gang.Groups[i].Min
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
		asked += spec.Min
	}
	if asked == 0 {
		return sum == members
	}
	return sum >= p.gang.Groups[i].Min
}

// base is the domain that everybody must be in: the one of the required level
// where the gang stands, or else has most room; with no such level the whole
// fabric. ok is false when there is none, or bound members are apart.
func (p *problem) base(pp *partial) (depth int, v int32, ok bool) {
	if p.required == 0 {
		return 0, 0, true
	}
	v, bad := p.fixed(p.required, p.bound)
	switch {
	case bad:
		return 0, 0, false
	case v >= 0:
		return p.required, v, true
	case len(pp.log) > 0:
		return p.required, pp.f.at(p.required, pp.log[0].pos), true
	}
	for _, v := range p.nearMisses(pp) {
		return p.required, v, true
	}
	return 0, 0, false
}

// extrasFiller puts what it can of batches, one after the other, without going back.
type extrasFiller struct{ c *construct }

func newExtrasFiller(pp *partial, depth int, v int32) *extrasFiller {
	j := &extrasFiller{newConstruct(pp, depth, v, nil)}
	for _, l := range pp.log {
		j.settle(l)
	}
	return j
}

// settle lets the choices of a batch know where one of its members stands.
func (j *extrasFiller) settle(l place) {
	f := j.c.partial.f
	for _, n := range j.c.of(l.batch) {
		x := &j.c.choices[n]
		v := f.at(x.depth, l.pos)
		switch {
		case x.state == undecided:
			x.state, x.v = settled, v
		case x.soft && x.v != v:
			x.state = waived
		}
	}
	if x := &j.c.p.batches[l.batch]; x.rule.spread > 0 {
		j.c.taken[spreadKey{x.role, f.at(x.rule.spread, l.pos)}] = true
	}
}

// fillWhatFits puts as much of a batch as has room and returns the domain it was
// given.
func (j *extrasFiller) fillWhatFits(batch int32) (depth int, v int32) {
	c := j.c
	for n := c.undecided(batch); n >= 0; n = c.undecided(batch) {
		j.prefer(batch, n)
	}
	depth, v, ok := c.home(batch)
	if !ok {
		return c.depth, c.v
	}
	c.partial.fillSome(batch, depth, v, c.taken)
	return depth, v
}

// prefer settles a choice on the domain that has room for most of the batch,
// among those one in use, then the tightest. None at all waives a wish, and
// leaves a confinement with an empty hand: a domain without room.
func (j *extrasFiller) prefer(batch int32, n int) {
	c := j.c
	x, role := &c.choices[n], c.p.batches[batch].role
	depth, v, _ := c.home(batch)
	lo, hi := c.partial.f.span(depth, v)
	want := c.p.batches[batch].total()
	best, found := int32(0), false
	for w := c.partial.f.at(x.depth, lo); lo < hi && w <= c.partial.f.at(x.depth, hi-1); w++ {
		if !c.partial.f.real(x.depth, w) {
			continue
		}
		if !found || j.nearer(x.depth, w, best, role, want) {
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

func (j *extrasFiller) nearer(depth int, a, b int32, role int, want int64) bool {
	sa, sb := j.c.partial.sum(role, depth, a), j.c.partial.sum(role, depth, b)
	if ma, mb := min(sa, want), min(sb, want); ma != mb {
		return ma > mb
	}
	if oa, ob := j.c.partial.isOpen(depth, a), j.c.partial.isOpen(depth, b); oa != ob {
		return oa
	}
	return sa < sb
}
