// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// problem is a request made ready for the search: names are turned into indices,
// and the order of everything is independent of the order of the input.
type problem struct {
	snap    *Snapshot
	gang    *Gang
	filters Fits
	stats   *Stats
	// steps is how much of the budget is used; the budget is shared by all
	// quorums. The search for one quorum began at step from and may take size
	// steps.
	steps, budget, from, size int
	// roles are ordered by need, largest first: fewest slots in the whole fabric,
	// then most devices, then name. The first is the leading role.
	roles []role
	dims  []dimension
	// terms are the depths of the domain terms of the cost.
	terms []int
	// bound are the nodes of bound members, each once.
	bound []int32
	// required and preferred are the gang's own depths, 0 for none.
	required, preferred int
	confinements        []confinement
	wishes              []wish
	// The first ownConfinements and ownWishes of them are the request's own.
	// addPartner adds further ones for one quorum choice.
	ownConfinements, ownWishes int
	batches                    []batch
	// lastPartial is the partial placement that the batches are for.
	lastPartial *partial
	// fresh is the index of the first batch that the last batchesFor made.
	fresh    int
	accepted map[fitsKey]int32
}

// role is a Role compiled for the search.
type role struct {
	index                int // in Gang.Roles
	spec                 *Role
	roll                 *rollup
	takes                []int64 // by dims
	limits               []limit
	slices               []slice
	confinements, wishes []int32
	bound                []int32
	rule                 sliceRule
	// taken are the spread domains of slices with bound members.
	taken []int32
}

// sliceRule holds the levels that a slice asks for, as depths; 0 is none.
type sliceRule struct {
	// One domain of depth required must hold the slice, also one of depth coarser
	// if it is set. One domain of depth preferred should hold it.
	required, coarser, preferred int
	// No two slices of a role share a domain of depth spread.
	spread int
}

// implies returns true if a slice that keeps to the required depth keeps to the
// given depth as well. A node is no domain of a level that it lacks.
func (s *sliceRule) implies(depth, levels int) bool {
	return depth == s.required || depth < s.required && s.required <= levels
}

// limit is the most members of a role that a node may get.
type limit struct{ pos, most int32 }

// slice is a run of members. A role that is not sliced has a single slice.
type slice struct {
	pending []*Member
	bound   []int32
	taken   int // pending members already handed to batches
}

// confinement is a set of members that one domain must hold.
type confinement struct {
	depth int
	// fixed is the domain where its members already run, -1 if none run.
	fixed int32
	// apart is set if its bound members are in several domains, or on nodes
	// without the level. Then none of its pending members can be placed.
	apart   bool
	subject string
	// bound counts its bound members.
	bound int
}

// wish is a set of members that one domain should hold.
type wish struct {
	depth int
	// first is the domain of the members that already run, -1 if none run.
	first int32
	// broken is set if its members are in several domains, or on a node without
	// the level.
	broken bool
}

// batch is a number of equal slices of one role, which the search places
// together.
type batch struct {
	role int
	// Each of count slices has size members. An unsliced run has size 1.
	size, count          int32
	sliced               bool
	confinements, wishes []int32
	rule                 sliceRule
	// members of each slice, or of the unsliced run as a single list.
	members [][]*Member
}

func (b *batch) total() int64 { return int64(b.size) * int64(b.count) }

type fitsKey struct{ role, pos int32 }

// fitsPerStep calls of the filters cost one step. Calls are bounded by the number
// of nodes, since no call is repeated.
const fitsPerStep = 8

// compile turns a checked request into a problem. It returns a Reason for a fault
// that only the snapshot shows.
func compile(s *Snapshot, g *Gang, fits Fits, o Options, st *Stats) (*problem, *Reason) {
	p := &problem{snap: s, gang: g, filters: fits, stats: st, budget: o.Budget, accepted: map[fitsKey]int32{}}
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
	p.ownConfinements, p.ownWishes = len(p.confinements), len(p.wishes)
	return p, nil
}

// addRoles counts slots and sorts the roles into search order.
func (p *problem) addRoles() *Reason {
	needs := make([]*Need, len(p.gang.Roles))
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

// addMembers sorts a role's members and cuts them into slices.
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

// rememberLimit keeps a refusal of the filters for later partial placements.
func (p *problem) rememberLimit(role int, pos, most int32) {
	p.roles[role].limits = append(p.roles[role].limits, limit{pos, most})
}

// allot gives the next search its part of the budget that is left.
func (p *problem) allot(parts int) {
	p.from, p.size = p.steps, max(0, p.budget-p.steps)/parts
}

// left returns how many steps the search may still take.
func (p *problem) left() int { return p.from + p.size - p.steps }

// spent returns true if the search has no steps left.
func (p *problem) spent() bool { return p.left() <= 0 }
