// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// orderFiller puts the members of several batches (a batch is members of one role) on nodes
// one after the other. Each member gets a node where the rules between members accept it,
// given the members before it. The log of the partial placement (the members placed so
// far), which lists the places in this order, is then an order that keeps the rules. If no
// node accepts the next member of a batch, members of other batches come first.
type orderFiller struct {
	partial *partial
	homes   []batchHome
	near    anchor
	// even is true if the domains with the fewest members are preferred. Otherwise nodes
	// and domains in use come first.
	even bool
	// ask is true if the filters are called for each member, not only for the first on a
	// node.
	ask bool
}

// batchHome is the domain that must hold a batch. left is how many of the batch's members
// have no node.
type batchHome struct {
	batch int32
	depth int
	v     int32
	left  int64
}

// anchor limits orderFiller to one domain of an affinity rule's first term: all members
// that the rule names must be placed there. The zero value, without a rule, limits no
// member.
type anchor struct {
	rule   *affinityRule
	domain int32
}

// excludes reports whether the anchor (a domain that must hold all members of an affinity
// rule) keeps members of the role off the node at pos.
func (a *anchor) excludes(role int, pos int32) bool {
	if a.rule == nil || !a.rule.holders[role] && !a.rule.matching[role] {
		return false
	}
	v, ok := a.rule.terms[0].at(pos)
	return !ok || v != a.domain
}

const (
	// maxAnchors is the maximum number of domains tried as the one that holds all members
	// of an affinity rule.
	maxAnchors = 16
	// maxScanned is the maximum number of nodes of a domain that are compared for each
	// member. Larger domains are filled in fabric order (the order of the nodes in the
	// topology tree).
	maxScanned = 64
)

// fillInOrder places the members of batches without slices (runs of members that belong
// together) one by one, so that the Spread and Affinity rules accept each. Batches of
// slices already have their nodes. If it returns false, it has restored the partial
// placement.
func (c *construct) fillInOrder() bool {
	pp := c.partial
	mark := len(pp.log)
	before := slices.Clone(pp.log)
	for _, near := range c.anchors() {
		for _, even := range []bool{false, true} {
			filler := orderFiller{partial: pp, homes: c.homes(), near: near, even: even}
			if filler.run() {
				places, ok, _ := c.p.inOrder(pp.log)
				if ok && pp.verify() == nil {
					pp.log = slices.Clone(places)
					return true
				}
			}
			pp.undo(mark)
			pp.log = append(pp.log[:0], before...)
			if c.p.steps >= c.until {
				return false
			}
		}
	}
	return false
}

// homes returns, for each batch without slices, the domain that must hold the batch.
func (c *construct) homes() []batchHome {
	var homes []batchHome
	for _, batch := range c.order {
		if c.p.batches[batch].sliced {
			continue
		}
		if depth, v, ok := c.home(batch); ok {
			homes = append(homes, batchHome{batch, depth, v, c.p.batches[batch].total()})
		}
	}
	return homes
}

// anchors lists domains that may hold all members of the first affinity rule without an
// existing matching pod: domains with enough room by counts, the smallest first. The last
// anchor has no rule and limits nothing.
func (c *construct) anchors() []anchor {
	none := []anchor{{}}
	i := slices.IndexFunc(c.p.affinities, func(a affinityRule) bool { return a.exist == 0 })
	if i < 0 {
		return none
	}
	rule := &c.p.affinities[i]
	lo, hi := c.partial.f.span(c.depth, c.v)
	want := c.pending(0, -1)
	room := map[int32][]int64{}
	for pos := lo; pos < hi; pos++ {
		v, ok := rule.terms[0].at(pos)
		if !ok {
			continue
		}
		if room[v] == nil {
			room[v] = make([]int64, len(want))
		}
		for r := range want {
			room[v][r] += int64(c.partial.slots(r, pos))
		}
	}
	c.p.steps += int(hi-lo)/scanSteps + 1
	var found []anchor
	for v, slots := range room {
		enough := true
		for r, n := range want {
			enough = enough && (!rule.holders[r] || slots[r] >= n)
		}
		if enough {
			found = append(found, anchor{rule, v})
		}
	}
	slices.SortFunc(found, func(a, b anchor) int {
		return cmp.Or(slices.Compare(room[a.domain], room[b.domain]), cmp.Compare(a.domain, b.domain))
	})
	return append(found[:min(len(found), maxAnchors)], none...)
}

// run places the members of all batches. It returns false if some find no node; members
// that found one keep it.
func (s *orderFiller) run() bool {
	left := int64(0)
	for i := range s.homes {
		left += s.homes[i].left
	}
	for left > 0 {
		put := int64(0)
		for i := range s.homes {
			put += s.fill(&s.homes[i])
		}
		if put == 0 {
			return false
		}
		left -= put
	}
	return true
}

// fill places as many members of a batch as find a node now. It returns the number
// placed.
func (s *orderFiller) fill(h *batchHome) int64 {
	lo, hi := s.partial.f.span(h.depth, h.v)
	before := h.left
	if hi-lo > maxScanned {
		for h.left > 0 && s.sweep(h, lo, hi) {
			s.partial.p.steps += int(hi-lo)/(maxScanned*scanSteps) + 1
		}
		return before - h.left
	}
	for h.left > 0 {
		pos, ok := s.best(h, lo, hi)
		if !ok {
			break
		}
		s.put(h, pos)
		s.partial.p.steps++
	}
	return before - h.left
}

// sweep visits the nodes at lo to hi-1 in fabric order and puts members of a batch on
// each that takes some. It returns false if no node did.
func (s *orderFiller) sweep(h *batchHome, lo, hi int32) (progress bool) {
	for pos := lo; pos < hi && h.left > 0; pos++ {
		for h.left > 0 && s.takes(h, pos) && s.put(h, pos) {
			progress = true
			if s.even {
				break
			}
		}
	}
	return progress
}

// takes reports whether the node at pos takes the next member of a batch, as far as rules
// and counts say.
func (s *orderFiller) takes(h *batchHome, pos int32) bool {
	role := s.partial.p.batches[h.batch].role
	return s.partial.order.accepts(role, pos) && !s.near.excludes(role, pos) && s.partial.slots(role, pos) > 0
}

// put puts the next member of a batch on the node at pos. It returns false if the filters
// refuse the member.
func (s *orderFiller) put(h *batchHome, pos int32) bool {
	role := s.partial.p.batches[h.batch].role
	if (s.ask || s.partial.on(role, pos) == 0) && s.partial.admitted(role, pos, 1) == 0 {
		return false
	}
	s.partial.put(h.batch, 0, pos, 1)
	h.left--
	return true
}

// best returns the best of the nodes at positions lo to hi-1 for the next member of a
// batch.
func (s *orderFiller) best(h *batchHome, lo, hi int32) (pos int32, ok bool) {
	var top nodeChoice
	for at := lo; at < hi; at++ {
		if !s.takes(h, at) {
			continue
		}
		if x := s.choice(h, at); !ok || x.before(&top, h.left) {
			top, ok = x, true
		}
	}
	return top.id, ok
}

// nodeChoice is a node for the next member, with the values by which nodes are compared.
type nodeChoice struct {
	option
	load    int64
	opened  int
	unclean bool
	used    bool
}

func (s *orderFiller) choice(h *batchHome, pos int32) nodeChoice {
	pp, role := s.partial, s.partial.p.batches[h.batch].role
	x := nodeChoice{option: option{id: pos, room: int64(pp.slots(role, pos))}, used: pp.used(pos)}
	if s.even {
		x.load = pp.order.load(role, pos)
	}
	for depth := pp.f.levels; depth > 0 && x.opened == 0; depth-- {
		if pp.opened[depth][pp.f.at(depth, pos)] > 0 {
			x.opened = depth
		}
	}
	x.unclean = len(pp.p.roles[role].roll.shape.pairs) > 0 && pp.cleanRoom(role, pos) == 0
	return x
}

// before reports whether node x is better than y. It compares, in this order: fewer members
// in the node's spread domains, a finer domain in use around the node, paired devices (each
// NIC in an alignment unit, such as a PCIe root, with a GPU of its member), a node in use,
// and room that is closest to want members.
func (x *nodeChoice) before(y *nodeChoice, want int64) bool {
	switch {
	case x.load != y.load:
		return x.load < y.load
	case x.opened != y.opened:
		return x.opened > y.opened
	case x.unclean != y.unclean:
		return y.unclean
	case x.used != y.used:
		return x.used
	}
	return better(x.option, y.option, want)
}
