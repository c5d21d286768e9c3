// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// compile turns a valid request into a problem, which has indices instead of names. It
// returns a Reason if the request has a fault that only the snapshot reveals.
func compile(s *Snapshot, g *Gang, fits Fits, o Options, st *Stats) (*problem, *Reason) {
	p := &problem{snap: s, gang: g, filters: fits, stats: st, budget: o.Budget, accepted: map[fitsKey]int32{}, capacity: o.Capacity}
	p.terms = s.terms.depths
	if p.budget <= 0 {
		p.budget = DefaultBudget
	}
	if r := p.addRoles(); r != nil {
		return nil, r
	}
	for i := range p.roles {
		p.addMembers(&p.roles[i])
	}
	slices.Sort(p.bound)
	p.bound = slices.Compact(p.bound)
	p.addScopes()
	p.addSlices()
	p.addAntiAffinity()
	p.addSpreads()
	p.addAffinities()
	p.addNodes()
	p.addPools()
	p.addNodeLimits()
	p.addConflicts()
	for i := range p.roles {
		r := &p.roles[i]
		r.linked = r.ruled() || r.pooled || r.counted
	}
	p.ownConfinements, p.ownWishes = len(p.confinements), len(p.wishes)
	return p, nil
}

// addRoles counts how many members of each role fit on every node. It sorts the roles: the
// role of which the fewest members fit in the whole fabric (the topology tree) is first. It
// also sets what a member of each role takes of each dimension (a resource, or a set of
// device kinds). It returns a Reason for a need that cannot be counted.
func (p *problem) addRoles() *Reason {
	needs := make([]*Need, len(p.gang.Roles))
	p.roles = make([]role, 0, len(p.gang.Roles))
	for i := range p.gang.Roles {
		r := &p.gang.Roles[i]
		needs[i] = &r.Need
		roll, touched, err := p.snap.rollup(&r.Need)
		if err != nil {
			return &Reason{Kind: BadRequest, Subject: "role " + r.Name + " devices", Detail: err.Error()}
		}
		p.stats.NodesTouched += touched
		p.roles = append(p.roles, role{index: i, spec: r, roll: roll})
	}
	slices.SortFunc(p.roles, compareRoles)
	if len(p.roles) == 1 {
		p.dims, p.roles[0].takes = p.roles[0].roll.shape.dims, p.roles[0].roll.shape.takes
		return nil
	}
	dims, err := dimensionsOf(needs)
	if err != nil {
		return &Reason{Kind: BadRequest, Subject: "devices", Detail: err.Error()}
	}
	p.dims = dims
	for i := range p.roles {
		for d := range dims {
			p.roles[i].takes = append(p.roles[i].takes, dims[d].demand(&p.roles[i].spec.Need))
		}
	}
	return nil
}

func compareRoles(a, b role) int {
	return cmp.Or(
		cmp.Compare(a.roll.sum[0][0], b.roll.sum[0][0]),
		cmp.Compare(b.spec.Need.devices(), a.spec.Need.devices()),
		natural(a.spec.Name, b.spec.Name),
	)
}

// addMembers sorts a role's members and divides them into slices (runs of members that
// belong together). It also turns Role.Limit (the most members of the role on a node) into
// node positions.
func (p *problem) addMembers(r *role) {
	members := orderedMembers(r.spec.Members)
	size := r.spec.Slice.Size
	byRank := distinctRanks(members)
	last, room := -1, len(members)
	if size > 1 {
		room = size
	}
	for i, m := range members {
		k := 0
		switch {
		case size > 1 && byRank:
			k = m.Rank / size
		case size > 1:
			k = i / size
		}
		if k != last {
			r.slices = append(r.slices, slice{pending: make([]*Member, 0, room)})
			last = k
		}
		p.addMember(r, &r.slices[len(r.slices)-1], m)
	}
	for name, most := range r.spec.Limit {
		if pos, ok := p.snap.fabric.pos(name); ok {
			r.limits = append(r.limits, limit{pos, int32(min(max(most, 0), maxSlots))})
		}
	}
	slices.SortFunc(r.limits, func(a, b limit) int { return cmp.Compare(a.pos, b.pos) })
}

func (p *problem) addMember(r *role, s *slice, m *Member) {
	if m.Node == "" {
		s.pending = append(s.pending, m)
		return
	}
	pos, ok := p.snap.fabric.pos(m.Node)
	if !ok {
		pos = -1
	} else {
		p.bound = append(p.bound, pos)
	}
	s.bound = append(s.bound, pos)
	r.bound = append(r.bound, pos)
}
