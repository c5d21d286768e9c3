// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// orderCounts counts members (pods of a gang) for the Spread and Affinity rules (topology
// spread constraints and pod affinity). The scheduler checks these rules whenever it places
// a member; the members that it placed before count, later ones do not. A placement is
// therefore valid if the rules accept its members in some order.
type orderCounts struct {
	p          *problem
	spreads    []spreadCounts
	affinities []affinityCounts
}

func newOrderCounts(p *problem) orderCounts {
	c := orderCounts{p: p}
	for i := range p.spreads {
		c.spreads = append(c.spreads, newSpreadCounts(&p.spreads[i]))
	}
	for i := range p.affinities {
		c.affinities = append(c.affinities, newAffinityCounts(&p.affinities[i]))
	}
	return c
}

// ordered reports whether the order in which members are placed matters: the gang has
// Spread or Affinity rules.
func (p *problem) ordered() bool { return len(p.spreads)+len(p.affinities) > 0 }

// ordered reports whether the order in which members of the role (a group of equal members)
// are placed matters: a Spread or Affinity rule names the role.
func (r *role) ordered() bool { return len(r.spreads)+len(r.affinities) > 0 }

// change adds n members of a role on the node at pos (the node's index) to the counts of
// the Spread and Affinity rules. A negative n removes members.
func (c *orderCounts) change(role int, pos, n int32) {
	r := &c.p.roles[role]
	for _, i := range r.spreads {
		if v, ok := c.spreads[i].rule.domains.at(pos); ok {
			c.spreads[i].change(role, v, n)
		}
	}
	for _, i := range r.affinities {
		c.affinities[i].change(role, pos, n)
	}
}

// accepts reports whether the Spread and Affinity rules allow the next member of a role
// on the node at pos.
func (c *orderCounts) accepts(role int, pos int32) bool {
	return c.acceptsSpread(role, pos) && c.acceptsAffinity(role, pos)
}

func (c *orderCounts) acceptsSpread(role int, pos int32) bool {
	for _, i := range c.p.roles[role].spreads {
		if s := &c.spreads[i]; s.rule.holders[role] {
			if v, ok := s.rule.domains.at(pos); !ok || !s.accepts(role, v) {
				return false
			}
		}
	}
	return true
}

func (c *orderCounts) acceptsAffinity(role int, pos int32) bool {
	for _, i := range c.p.roles[role].affinities {
		if a := &c.affinities[i]; a.rule.holders[role] && !a.accepts(role, pos) {
			return false
		}
	}
	return true
}

// room returns an upper bound of how many further members of a role the Spread and
// Affinity rules allow on the node at pos, whatever the order in which all members are
// placed.
func (c *orderCounts) room(role int, pos int32) int32 {
	room := int32(maxSlots)
	r := &c.p.roles[role]
	for _, i := range r.spreads {
		s := &c.spreads[i]
		if !s.rule.holders[role] {
			continue
		}
		v, ok := s.rule.domains.at(pos)
		if !ok {
			return 0
		}
		room = min(room, s.room(role, v))
	}
	for _, i := range r.affinities {
		if a := &c.affinities[i]; a.rule.holders[role] && !a.rule.covers(pos) {
			return 0
		}
	}
	return room
}

// load returns how many pods and members count in the domains (nodes with one value of a
// rule's topology key) of the node at pos, summed over the Spread rules that would count a
// further member of the role.
func (c *orderCounts) load(role int, pos int32) int64 {
	sum := int64(0)
	for _, i := range c.p.roles[role].spreads {
		if s := &c.spreads[i]; s.rule.counted[role] {
			if v, ok := s.rule.domains.at(pos); ok {
				sum += int64(s.now[v])
			}
		}
	}
	return sum
}

// inOrder returns the places (each is some equal members on one node) in an order in which
// the Spread and Affinity rules accept each member. ok is false if no such order was found.
// proven is false if the search for an order was cut short.
func (p *problem) inOrder(places []place) (out []place, ok, proven bool) {
	if !p.ordered() {
		return places, true, true
	}
	s := orderSearch{p: p, counts: newOrderCounts(p), proven: true}
	if s.keeps(places) {
		return places, true, true
	}
	s.counts = newOrderCounts(p)
	s.failed = map[string]bool{}
	members := int32(0)
	for _, l := range places {
		if !p.roles[p.batches[l.batch].role].ordered() {
			s.out = append(s.out, l)
			continue
		}
		members += l.n
		i := slices.IndexFunc(s.left, func(o place) bool { return o.batch == l.batch && o.slice == l.slice && o.pos == l.pos })
		if i < 0 {
			s.left = append(s.left, l)
			continue
		}
		s.left[i].n += l.n
	}
	s.until = p.steps + orderSteps*(1+int(members))*(1+len(s.left)/scanSteps)
	ok = s.walk(members)
	return s.out, ok, ok || s.proven
}

// orderSteps is how many steps the search for an order may take for each member. The first
// order that it tries is right unless several rules depend on each other.
const orderSteps = 16

// orderSearch looks for an order of placed members that the Spread and Affinity rules
// accept.
type orderSearch struct {
	p      *problem
	counts orderCounts
	// left has the placed members that are not in the order yet, out the order so far.
	left, out []place
	// failed has the contents of left, encoded by the method key, for which there is no order.
	failed map[string]bool
	until  int
	proven bool
}

// keeps reports whether the Spread and Affinity rules accept the members in the order of
// the places.
func (s *orderSearch) keeps(places []place) bool {
	for _, l := range places {
		role := s.p.batches[l.batch].role
		for range l.n {
			if !s.counts.accepts(role, l.pos) {
				return false
			}
			s.counts.change(role, l.pos, 1)
		}
	}
	return true
}

// walk puts the remaining members in an order that the rules accept. It returns false if
// there is no such order or the step budget ends.
func (s *orderSearch) walk(members int32) bool {
	if members == 0 {
		return true
	}
	key := s.key()
	if s.failed[key] {
		return false
	}
	if s.p.steps += 1 + len(s.left)/scanSteps; s.p.steps > s.until {
		s.proven = false
		return false
	}
	for _, i := range s.next() {
		l := &s.left[i]
		role := s.p.batches[l.batch].role
		l.n--
		s.counts.change(role, l.pos, 1)
		s.out = append(s.out, place{l.batch, l.slice, l.pos, 1})
		if s.walk(members - 1) {
			return true
		}
		s.out = s.out[:len(s.out)-1]
		s.counts.change(role, l.pos, -1)
		l.n++
	}
	s.failed[key] = true
	return false
}

// next returns the indices, in left, of the places whose next member the rules accept
// now, those in the emptiest domains first. Of several places of one role on one node it
// lists one.
func (s *orderSearch) next() []int {
	var out []int
	for i := range s.left {
		l := &s.left[i]
		role := s.p.batches[l.batch].role
		same := func(j int) bool { return s.left[j].pos == l.pos && s.p.batches[s.left[j].batch].role == role }
		if l.n > 0 && !slices.ContainsFunc(out, same) && s.counts.accepts(role, l.pos) {
			out = append(out, i)
		}
	}
	load := func(i int) int64 { return s.counts.load(s.p.batches[s.left[i].batch].role, s.left[i].pos) }
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(load(a), load(b)) })
	return out
}

func (s *orderSearch) key() string {
	var key []byte
	for i := range s.left {
		key = binary.AppendVarint(key, int64(s.left[i].n))
	}
	return string(key)
}
