// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// excluded counts, by cause, the nodes of a domain that take no further member of the role.
// unused counts the nodes that hold no member of the gang, full those that hold some. Both
// lists have the causes in a fixed order.
func (p *problem) excluded(pp *partial, role, depth int, v int32) (unused, full []Exclusion) {
	lo, hi := pp.f.span(depth, v)
	without, with := newCauseCounts(p)
	linked := p.roles[role].linked
	for pos := lo; pos < hi; pos++ {
		switch {
		case pp.slots(role, pos) > 0 && (!linked || pp.order.accepts(role, pos)):
		case pp.used(pos):
			cause, short := p.causeBeside(pp, role, pos)
			with.add(cause, pp.f.names[pos], short)
		default:
			without.add(p.cause(pp, role, pos), pp.f.names[pos], 0)
		}
	}
	p.stats.NodesTouched += int(hi - lo)
	return without.list(p), with.list(p)
}

// causeCounts counts nodes by cause. The first causes are the cause constants. From index
// causes on, there is one for each dimension (a resource, or a set of device kinds), then
// for each node limit (such as the attach limit of a storage driver), then for each pool
// (items, such as volumes, of which members take some).
type causeCounts struct {
	// place has, by cause, 1 + the cause's index in found, or 0 if no node has the cause. found
	// has only causes with nodes: most causes have none, and an Exclusion is large.
	place []int32
	found []Exclusion
}

// newCauseCounts returns two empty causeCounts.
func newCauseCounts(p *problem) (a, b causeCounts) {
	n := causes + len(p.dims) + len(p.nodeLimits) + len(p.pools)
	place := make([]int32, 2*n)
	return causeCounts{place: place[:n]}, causeCounts{place: place[n:]}
}

// add counts a node that has no room for one more member because of this cause, and keeps
// the node's name if the filters refused it. short is the missing amount, 0 for causes that
// are not about an amount. The entry keeps the least amount.
func (c *causeCounts) add(cause int, node string, short int64) {
	if c.place[cause] == 0 {
		c.found = append(c.found, Exclusion{Short: short})
		c.place[cause] = int32(len(c.found))
	}
	e := &c.found[c.place[cause]-1]
	if cause == causeFilter {
		e.Refused = append(e.Refused, node)
	} else if e.Short != short {
		e.Short, e.Varies = min(e.Short, short), true
	}
	e.Nodes++
}

// list returns the causes that have nodes, in the order of the causes.
func (c *causeCounts) list(p *problem) []Exclusion {
	switch len(c.found) {
	case 0:
		return nil
	case 1:
		c.found[0].Cause = p.causeName(slices.Index(c.place, 1))
		return c.found
	}
	out := make([]Exclusion, 0, len(c.found))
	for cause, place := range c.place {
		if place > 0 {
			e := c.found[place-1]
			e.Cause = p.causeName(cause)
			out = append(out, e)
		}
	}
	return out
}

// Indices, in causeCounts, of the causes that are no dimension, node limit or pool. The
// last constant, causes, is the number of these causes.
const (
	causeUnschedulable = iota
	causeAvoided
	causeFilter
	causeAlignment
	causeAntiAffinity
	causeSpread
	causeAffinity
	causes
)

// cause returns why the node at pos, which holds no member of the gang, has no room for a
// member of a role, as an index of causeCounts.
func (p *problem) cause(pp *partial, role int, pos int32) int {
	c := p.snap.class(pos)
	if c.unschedulable {
		return causeUnschedulable
	}
	r := &p.roles[role]
	for d, take := range r.takes {
		if p.dims[d].free(c) < take {
			return causes + d
		}
	}
	if r.roll.slots.at(pos) == 0 {
		return causeAlignment
	}
	return p.causeOfRules(pp, role, pos)
}

// causeBeside returns why the node at pos, which holds members of the gang, has no room
// for one more member of a role, as an index of causeCounts. short is the missing amount
// if the cause is a resource or a device kind.
func (p *problem) causeBeside(pp *partial, role int, pos int32) (cause int, short int64) {
	i := int(pp.slot.at(pos) - 1)
	r, remaining := &p.roles[role], pp.remaining[i*len(p.dims):(i+1)*len(p.dims)]
	on := pp.on(role, pos)
	switch {
	case p.snap.class(pos).unschedulable:
		return causeUnschedulable, 0
	case r.limited && !r.only[pos]:
		return causeFilter, 0
	}
	for d, take := range r.takes {
		if remaining[d] < take {
			return causes + d, take - remaining[d]
		}
	}
	if most := r.spec.Need.PerNode; most > 0 && int(on) >= most {
		return causeAntiAffinity, 0
	}
	if r.spec.Need.Aligned && r.roll.slots.at(pos) <= on {
		return causeAlignment, 0
	}
	return p.causeOfRules(pp, role, pos), 0
}

// causeOfRules returns why the node at pos, which has enough resources and devices, has no
// room for one more member of a role: a refusal of the filters in an earlier plan
// (Role.Limit), a rule between members, a conflict (a combination that the filters have
// refused), a node limit, a pool (items of which members take some) or the filters.
func (p *problem) causeOfRules(pp *partial, role int, pos int32) int {
	if most, ok := p.roles[role].spec.Limit[pp.f.names[pos]]; ok && int32(most) <= pp.on(role, pos) {
		return causeAvoided
	}
	if pp.apart.room(role, pos, false) == 0 {
		return causeAntiAffinity
	}
	if room, earlier := pp.conflicts.room(role, pos, pp.on(role, pos)); room == 0 {
		if earlier {
			return causeAvoided
		}
		return causeFilter
	}
	if cause := p.causeOfSupply(pp, role, pos); cause != causeFilter || pp.slotsByCount(role, pos) == 0 {
		return cause
	}
	if !pp.order.acceptsSpread(role, pos) {
		return causeSpread
	}
	return causeAffinity
}

func (p *problem) causeName(i int) string {
	switch i {
	case causeUnschedulable:
		return CauseUnschedulable
	case causeAvoided:
		return CauseAvoided
	case causeFilter:
		return CauseFilter
	case causeAlignment:
		return CauseAlignment
	case causeAntiAffinity:
		return CauseAntiAffinity
	case causeSpread:
		return CauseSpread
	case causeAffinity:
		return CauseAffinity
	}
	if i -= causes; i < len(p.dims) {
		return p.dimName(i)
	}
	return p.supplyName(i - len(p.dims))
}
