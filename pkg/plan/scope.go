// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// orderedMembers returns the members sorted by rank, then by name in natural order.
func orderedMembers(in []Member) []*Member {
	out := make([]*Member, len(in))
	for i := range in {
		out[i] = &in[i]
	}
	order := func(a, b *Member) int { return cmp.Or(cmp.Compare(a.Rank, b.Rank), natural(a.Name, b.Name)) }
	if !slices.IsSortedFunc(out, order) {
		slices.SortFunc(out, order)
	}
	return out
}

// distinctRanks returns true if the ranks of sorted members all differ and none is
// negative.
func distinctRanks(members []*Member) bool {
	for i, m := range members {
		if m.Rank < 0 || i > 0 && m.Rank == members[i-1].Rank {
			return false
		}
	}
	return true
}

// scope is the gang, a group of its roles (sets of equal members) or one role, with the
// depths of its levels: one domain of the required level (such as a rack) must, and one of
// the preferred level should, hold all members of the roles. Depth 0 is no level. subject
// names the scope in sentences.
type scope struct {
	subject             string
	required, preferred int
	roles               []int
}

// addScopes turns the levels of the gang, its RDMA roles, groups and roles into
// confinements (members that one domain must hold) and wishes (members that one domain
// should hold).
func (p *problem) addScopes() {
	g := p.gang
	p.required, p.preferred = p.depth(g.Required), p.depth(g.Preferred)
	boundary := p.boundary()
	if g.RDMA {
		p.required = max(p.required, boundary)
	}
	all := scope{subject: "the gang", required: p.required, preferred: p.preferred, roles: p.rolesWhere(func(*Role) bool { return true })}
	p.addWish(all)
	scopes := []scope{{subject: rdmaRoles, required: boundary, roles: p.rolesWhere(func(r *Role) bool { return r.RDMA || g.RDMA })}}
	for i := range g.Groups {
		q := &g.Groups[i]
		in := p.rolesWhere(func(r *Role) bool { return g.inside(r.Group, q.Name) })
		scopes = append(scopes, scope{"group " + q.Name, p.depth(q.Required), p.depth(q.Preferred), in})
	}
	for i := range p.roles {
		r := p.roles[i].spec
		scopes = append(scopes, scope{"role " + r.Name, p.depth(r.Required), p.depth(r.Preferred), []int{i}})
	}
	slices.SortStableFunc(scopes, func(a, b scope) int {
		return cmp.Or(cmp.Compare(a.required, b.required), natural(a.subject, b.subject))
	})
	for _, s := range scopes {
		if len(s.roles) > 0 {
			p.addConfinement(s)
			p.addWish(s)
		}
	}
}

// depth returns the depth in the network tree of a level by its name, which has been
// checked, or 0 for "".
func (p *problem) depth(level string) int {
	if level == "" {
		return 0
	}
	i, _ := p.snap.layout.level(level)
	return i + 1
}

// boundary returns the depth of the finest boundary level (a level whose domains RDMA
// cannot cross), 0 for none.
func (p *problem) boundary() int {
	for i := len(p.snap.layout.Levels) - 1; i >= 0; i-- {
		if p.snap.layout.Levels[i].Boundary {
			return i + 1
		}
	}
	return 0
}

func (p *problem) rolesWhere(is func(*Role) bool) []int {
	var out []int
	for i := range p.roles {
		if is(p.roles[i].spec) {
			out = append(out, i)
		}
	}
	return out
}

func (p *problem) boundIn(roles []int) []int32 {
	var out []int32
	for _, r := range roles {
		out = append(out, p.roles[r].bound...)
	}
	return out
}

// commonDomain returns the domain, at a depth of the tree, that holds all members which are
// bound to nodes, or -1 if there are none. bound has the positions of these nodes, -1 for
// unknown ones. apart is true if the members are in several domains, or on a node that is
// in no domain of this depth.
func (p *problem) commonDomain(depth int, bound []int32) (v int32, apart bool) {
	v = -1
	if depth == 0 {
		return v, false
	}
	for _, pos := range bound {
		if pos < 0 {
			continue
		}
		at := p.snap.fabric.at(depth, pos)
		if v >= 0 && v != at || !p.snap.fabric.real(depth, at) {
			return v, true
		}
		v = at
	}
	return v, false
}

// implied returns true if each domain in which the search tries to place the gang lies in
// a single domain of this depth. This is not sure if the gang requires the node level: a
// node may be in no domain of this depth.
func (p *problem) implied(depth int) bool {
	return depth == p.required || depth < p.required && p.required <= len(p.snap.layout.Levels)
}

// addConfinement adds the rule that one domain of the scope's required level must hold
// all members of its roles. It does not if each domain in which the search tries to place
// the gang lies in one domain of this level.
func (p *problem) addConfinement(s scope) {
	if s.required == 0 || p.implied(s.required) {
		return
	}
	v, apart := p.commonDomain(s.required, p.boundIn(s.roles))
	p.confinements = append(p.confinements, confinement{s.required, v, apart, s.subject, len(p.boundIn(s.roles))})
	for _, r := range s.roles {
		p.roles[r].confinements = append(p.roles[r].confinements, int32(len(p.confinements)-1))
	}
}

// addWish adds the rule that one domain of the scope's preferred level should hold all
// members of its roles. It does not if each domain in which the search tries to place the
// gang lies in one domain of this level, unless bound members break the wish already.
func (p *problem) addWish(s scope) {
	v, apart := p.commonDomain(s.preferred, p.boundIn(s.roles))
	if s.preferred == 0 || p.implied(s.preferred) && !apart {
		return
	}
	p.wishes = append(p.wishes, wish{s.preferred, v, apart})
	for _, r := range s.roles {
		p.roles[r].wishes = append(p.roles[r].wishes, int32(len(p.wishes)-1))
	}
}

// addSlices turns the level names in each role's Slice into depths. A slice is a run of
// members that belong together.
func (p *problem) addSlices() {
	for i := range p.roles {
		r := &p.roles[i]
		s := &r.spec.Slice
		required, preferred, spread := p.depth(s.Required), p.depth(s.Preferred), p.depth(s.Spread)
		// Two slices of a role never share a domain of the spread level, and each must be in
		// one domain of it.
		r.rule = sliceRule{required: max(required, spread), coarser: min(required, spread), preferred: preferred, spread: spread}
		if r.rule.implies(preferred, len(p.snap.layout.Levels)) {
			r.rule.preferred = 0
		}
		for k := range r.slices {
			if v, apart := p.commonDomain(r.rule.spread, r.slices[k].bound); v >= 0 && !apart {
				r.taken = append(r.taken, v)
			}
		}
	}
}
