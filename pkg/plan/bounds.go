// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// bounds computes what counts of free resources and devices say about placing one quorum
// (the members that meet the gang's minimums) in a domain: whether the domain may hold it,
// and lower bounds of the cost.
type bounds struct {
	p       *problem
	partial *partial
	total   []int64         // members to place, by role
	demand  []int64         // what all members take, by resource or set of device kinds
	sums    []*resourceSums // the free amounts in each domain, with the indices of demand
	// multiNodeOnly is true once the search has covered all placements on one node. The
	// bounds then are about placements on several nodes.
	multiNodeOnly bool
}

// newBounds returns the bounds for the members in the problem's batches (the members that
// the search must place).
func newBounds(p *problem, pp *partial) bounds {
	b := bounds{p: p, partial: pp, total: make([]int64, len(p.roles))}
	for i := range p.batches {
		b.total[p.batches[i].role] += p.batches[i].total()
	}
	return b
}

// addDemand sums what all members take of each dimension (a resource, or a set of device
// kinds). A gang with a single role does not need these sums: counting the members that
// fit is exact.
func (b *bounds) addDemand() {
	if len(b.p.roles) == 1 {
		return
	}
	b.demand = make([]int64, len(b.p.dims))
	for d := range b.p.dims {
		b.sums = append(b.sums, b.p.snap.resourceSums(&b.p.dims[d]))
		for r, n := range b.total {
			b.demand[d] += n * b.p.roles[r].takes[d]
		}
	}
}

// mayHold returns false if counts prove that the domain with vertex v (its index at this
// depth of the topology tree) cannot hold the quorum: room for too few members of a role,
// too little of a resource or of devices for all roles together, or too little room by
// spread rules or pools (items, such as volumes, of which members take some).
func (b *bounds) mayHold(depth int, v int32) bool {
	for r, n := range b.total {
		if n > 0 && b.partial.sum(r, depth, v) < n {
			return false
		}
	}
	for d, n := range b.demand {
		if n > b.sums[d].in(b.partial.f, depth, v) {
			return false
		}
	}
	for i := range b.p.spreads {
		if !b.maySpread(&b.p.spreads[i], depth, v) {
			return false
		}
	}
	return len(b.p.pools) == 0 || b.p.poolsHold(depth, v, b.total)
}

// maySpread returns false if a topology spread rule leaves too little room in the domain
// with vertex v for the members that keep the rule and count for it. It assumes the best
// case: the smallest number of counted pods and members in any of the rule's own domains
// (such as zones), from which the skew is measured, gets as high as it can.
func (b *bounds) maySpread(rule *spreadRule, depth int, v int32) bool {
	want := int64(0)
	for r, n := range b.total {
		if rule.holders[r] && rule.counted[r] {
			want += n
		}
	}
	lo, hi := b.partial.f.span(depth, v)
	seen := map[int32]bool{}
	for pos := lo; pos < hi && want > 0; pos++ {
		if d, ok := rule.domains.at(pos); ok && !seen[d] {
			seen[d] = true
			want -= int64(max(0, rule.skew+rule.highest-rule.existing[d]))
		}
	}
	return want <= 0
}

// eligible returns true if the domain with vertex v lies inside a domain of the gang's
// required level, or if the gang requires no level.
func (b *bounds) eligible(depth int, v int32) bool {
	if b.p.required == 0 {
		return true
	}
	lo, hi := b.partial.f.span(depth, v)
	return lo < hi && b.partial.f.real(b.p.required, b.partial.f.at(b.p.required, lo))
}

// room returns how many members of the leading role (the role of which the fewest members
// fit in the fabric, the whole topology tree) fit in a domain, by counts. The whole fabric
// is compared with no other domain, so for it room returns just the number of members to
// place.
func (b *bounds) room(depth int, v int32) int64 {
	switch lead := b.p.roles[0].roll; {
	case depth > b.partial.f.levels:
		return int64(lead.slots.at(v))
	case depth > 0:
		return lead.sum[depth][v]
	}
	return b.total[0]
}

// apart returns a lower bound of how many child domains of vertex v a placement uses
// beyond the first. It assumes that no child holds all members.
func (b *bounds) apart(depth int, v int32) int64 {
	f := b.partial.f
	x := &f.tables[depth].verts[v]
	least := int64(1)
	for r, n := range b.total {
		most := int64(0)
		for k := x.kidLo; n > 0 && k < x.kidHi; k++ {
			most = max(most, b.partial.sum(r, depth+1, k))
		}
		if most > 0 {
			least = max(least, (n+most-1)/most-1)
		}
	}
	return least
}

// unpaired returns 1 if counts prove that some follower device (NIC) of a member in the
// domain must be in an alignment unit (such as a PCIe root) without an anchor (GPU) of
// this member, else 0.
func (b *bounds) unpaired(depth int, v int32) int64 {
	for r, n := range b.total {
		roll := b.p.roles[r].roll
		clean := int64(0)
		if depth > b.partial.f.levels {
			clean = int64(roll.clean.at(v))
		} else {
			clean = roll.cleanSum[depth][v]
		}
		if n > clean {
			return 1
		}
	}
	return 0
}

// nodes returns a lower bound of the nodes that a placement in the domain uses: the most
// that any role needs by itself. It is at least 2 with multiNodeOnly, unless the domain
// is a node.
func (b *bounds) nodes(depth int, v int32) int64 {
	if depth > b.partial.f.levels {
		return 1
	}
	least := int64(1)
	if b.multiNodeOnly {
		least = 2
	}
	for r, n := range b.total {
		if n == 0 {
			continue
		}
		if most := int64(b.p.roles[r].roll.most[depth][v]); most > 0 {
			least = max(least, (n+most-1)/most)
		}
	}
	return least
}
