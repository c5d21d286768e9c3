// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// batchesFor adds batches (members of one role that are placed together) until each role
// r has want[r] members, bound members and earlier batches included. For a role with
// slices (runs of members that belong together) it rounds want[r] up to whole slices.
func (p *problem) batchesFor(want []int) {
	p.fresh = len(p.batches)
	for r := range p.roles {
		p.batchesOf(r, want[r]-p.handed(r))
	}
}

// handed returns how many members of role r are bound or already in a batch.
func (p *problem) handed(r int) int {
	n := len(p.roles[r].bound)
	for i := range p.roles[r].slices {
		n += p.roles[r].slices[i].taken
	}
	return n
}

// reset removes all batches. It also removes what addPartner added for them: confinements
// (members that one domain must hold) and wishes (members that one domain should hold).
func (p *problem) reset() {
	for r := range p.roles {
		for i := range p.roles[r].slices {
			p.roles[r].slices[i].taken = 0
		}
	}
	p.batches, p.fresh = nil, 0
	p.confinements, p.wishes = p.confinements[:p.ownConfinements], p.wishes[:p.ownWishes]
}

func (p *problem) batchesOf(r, n int) {
	ro := &p.roles[r]
	sliced := ro.spec.Slice.Size > 1
	for i := range ro.slices {
		s := &ro.slices[i]
		left := s.pending[s.taken:]
		if n <= 0 || len(left) == 0 {
			continue
		}
		if !sliced && len(left) > n {
			left = left[:n]
		}
		partner := len(s.bound) > 0 || s.taken > 0
		s.taken += len(left)
		n -= len(left)
		switch {
		case !sliced:
			p.addRun(r, left)
		case partner:
			p.addPartner(r, s, left)
		default:
			p.addSlice(r, left)
		}
	}
}

// addRun adds a batch of members that are placed one by one, not as a slice.
func (p *problem) addRun(r int, members []*Member) {
	ro := &p.roles[r]
	p.batches = append(p.batches, batch{
		role: r, size: 1, count: int32(len(members)), confinements: ro.confinements, wishes: ro.wishes,
		members: [][]*Member{members},
	})
}

// addSlice adds a slice (a run of members that belong together) to a batch. Slices of the
// same role and size share one batch.
func (p *problem) addSlice(r int, members []*Member) {
	if n := len(p.batches); n > p.fresh {
		b := &p.batches[n-1]
		if b.role == r && b.sliced && int(b.size) == len(members) {
			b.count++
			b.members = append(b.members, members)
			return
		}
	}
	ro := &p.roles[r]
	p.batches = append(p.batches, batch{
		role: r, size: int32(len(members)), count: 1, sliced: true, confinements: ro.confinements, wishes: ro.wishes,
		rule: ro.rule, members: [][]*Member{members},
	})
}

// addPartner adds the remaining members of a slice (a run of members that belong together)
// of which other members are bound or in an earlier batch. These members are placed one by
// one. The levels of the slice become a confinement and a wish for only these members.
func (p *problem) addPartner(r int, s *slice, members []*Member) {
	p.addRun(r, members)
	b := &p.batches[len(p.batches)-1]
	ro := &p.roles[r]
	for _, depth := range []int{ro.rule.coarser, ro.rule.required} {
		if depth == 0 {
			continue
		}
		v, apart := p.commonDomain(depth, s.bound)
		p.confinements = append(p.confinements, confinement{depth, v, apart, "a slice of role " + ro.spec.Name, len(s.bound)})
		b.confinements = append(b.confinements[:len(b.confinements):len(b.confinements)], int32(len(p.confinements)-1))
	}
	if ro.rule.preferred > 0 {
		v, apart := p.commonDomain(ro.rule.preferred, s.bound)
		p.wishes = append(p.wishes, wish{ro.rule.preferred, v, apart})
		b.wishes = append(b.wishes[:len(b.wishes):len(b.wishes)], int32(len(p.wishes)-1))
	}
}

// pending returns the number of members, over all roles, that had no node when the plan
// began.
func (p *problem) pending() int {
	n := 0
	for r := range p.roles {
		for i := range p.roles[r].slices {
			n += len(p.roles[r].slices[i].pending)
		}
	}
	return n
}
