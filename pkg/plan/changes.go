// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// changes lists changes of the cluster that would each resolve a shortage (some members
// found no room in a domain): the least amount of one resource on one node, further nodes,
// or further domains, one for each slice (run of members that belong together) without
// room.
func (p *problem) changes(pp *partial, s shortage) []Change {
	where := p.domain(s.depth, s.v).String()
	if s.sliced {
		if s.rule.required <= s.depth {
			return nil
		}
		level := p.snap.layout.levelName(s.rule.required - 1)
		return []Change{{Count: (s.missing + int64(s.size) - 1) / int64(s.size), What: level, Room: int(s.size), Where: where}}
	}
	var out []Change
	if c := p.repair(pp, s.role, s.depth, s.v, s.missing); c.Count > 0 {
		out = append(out, c)
	}
	if s.depth <= pp.f.levels && p.usesNewNodes(s.role) {
		if most, like := p.newNode(pp, s.role); most > 0 {
			out = append(out, Change{Count: (s.missing + most - 1) / most, What: NodeLevel, Like: like, Where: where})
		}
	}
	return out
}

// newNode returns how many members of a role a node that joins the cluster would hold: as
// many as the best node does now. If no node has room, it is as many as a node would hold
// if it were empty. like names an existing node that the new node must resemble, "" if that
// does not matter. newNode returns 0 if the filters refuse all existing nodes, because they
// would refuse further nodes like these as well, or if no node has room and the nodes'
// capacities are unknown.
func (p *problem) newNode(pp *partial, role int) (most int64, like string) {
	r := &p.roles[role]
	full := r.roll.most[0][0] == 0
	if full && p.capacity == nil {
		return 0, ""
	}
	for pos := range int32(len(pp.f.names)) {
		if r.limited && !r.only[pos] || pp.slot.at(pos) > 0 && pp.limit(role, pos) == 0 {
			continue
		}
		switch n := int64(r.roll.slots.at(pos)); {
		case n > 0 && !r.limited:
			return int64(r.roll.most[0][0]), ""
		case n > most:
			most, like = n, pp.f.names[pos]
		case full:
			if n = p.emptySlots(role, pos); n > 0 {
				return n, pp.f.names[pos]
			}
		}
	}
	return most, like
}

// usesNewNodes reports whether nodes that join the cluster may help a role: the role
// may use them, its members take no item of a pool (items that exist once), no Spread or
// Affinity rule names it, its AntiAffinity rules have single nodes as domains, and the
// filters have refused no combination with its members.
func (p *problem) usesNewNodes(role int) bool {
	r := &p.roles[role]
	if r.ordered() || r.pooled || len(r.conflicts) > 0 || r.limited && (r.spec.NodesFixed || len(r.only) == 0) {
		return false
	}
	return !slices.ContainsFunc(r.apart, func(i int32) bool { return !p.apart[i].domains.areNodes() })
}

// repair returns the smallest change of this kind: if one node of the domain had a further
// amount of a single resource or device kind, it would hold all missing members. Nodes that
// could not hold them even if empty do not count.
func (p *problem) repair(pp *partial, role, depth int, v int32, missing int64) Change {
	var best Change
	lo, hi := pp.f.span(depth, v)
	for pos := lo; pos < hi; pos++ {
		if pp.used(pos) || pp.slots(role, pos) > 0 {
			continue
		}
		if cause := p.cause(pp, role, pos); cause < causes || cause >= causes+len(p.dims) {
			continue
		}
		d, lack := p.onlyLack(role, pos, missing)
		if lack > 0 && (best.Count == 0 || lack < best.Count) && p.emptySlots(role, pos) >= missing {
			best = Change{Count: lack, What: p.dimName(d), Where: pp.f.names[pos]}
		}
	}
	return best
}

// onlyLack returns the single dimension (a resource, or a set of device kinds) that keeps
// n members of a role off the node at pos, and the missing amount. The amount is zero if
// several dimensions are short.
func (p *problem) onlyLack(role int, pos int32, n int64) (dim int, lack int64) {
	c := p.snap.class(pos)
	for d, take := range p.roles[role].takes {
		short := take*n - p.dims[d].free(c)
		if take == 0 || short <= 0 {
			continue
		}
		if lack > 0 {
			return 0, 0
		}
		dim, lack = d, short
	}
	return dim, lack
}
