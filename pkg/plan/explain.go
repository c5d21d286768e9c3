// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
	"strings"
)

// explain describes each of the best candidate domains: how many members fit, and the
// causes that exclude the other nodes.
func (p *problem) explain(ended bool) []Reason {
	quorums, _ := p.quorumChoices()
	if len(quorums) == 0 {
		return []Reason{{Kind: BadRequest, Subject: "min", Detail: "the groups chosen cannot reach it"}}
	}
	p.filters = nil // report from known refusals, without further calls
	p.reset()
	p.batchesFor(quorums[0])
	if s := p.contradiction(); s != nil {
		return []Reason{{Kind: BoundApart, Subject: s.subject, Found: s.bound, Domain: Domain{Level: p.snap.layout.levelName(s.depth - 1)}}}
	}
	pp := newPartial(p)
	var out []Reason
	if ended {
		out = append(out, Reason{Kind: BudgetEnded})
	}
	cands := p.nearMisses(pp)
	if len(cands) == 0 {
		level := p.snap.layout.levelName(p.required - 1)
		return append(out, Reason{Kind: NoDomain, Domain: Domain{Level: level}, Wanted: p.wanted(), Nodes: len(pp.f.names)})
	}
	for _, v := range cands {
		out = append(out, p.miss(pp, v))
	}
	from := len(out) - len(cands)
	slices.SortStableFunc(out[from:], func(x, y Reason) int { return cmp.Compare(y.Found, x.Found) })
	return out
}

// contradiction returns a confinement that bound members already break and that has pending
// members, or nil.
func (p *problem) contradiction() *confinement {
	if _, apart := p.commonDomain(p.required, p.bound); apart {
		return &confinement{depth: p.required, subject: "the gang", bound: len(p.bound)}
	}
	for i := range p.batches {
		for _, n := range p.batches[i].confinements {
			if p.confinements[n].apart {
				return &p.confinements[n]
			}
		}
	}
	return nil
}

// wanted counts the members in batches.
func (p *problem) wanted() int {
	n := int64(0)
	for i := range p.batches {
		n += p.batches[i].total()
	}
	return int(n)
}

// miss fills a candidate domain as far as possible and describes the missing room.
func (p *problem) miss(pp *partial, v int32) Reason {
	r := Reason{Kind: NoRoom, Domain: p.domain(p.required, v), Wanted: p.wanted()}
	filler := newExtrasFiller(pp, p.required, v)
	var first shortage
	short := 0
	for i := range p.batches {
		before := len(pp.log)
		depth, w := filler.fillWhatFits(int32(i))
		got := putSince(pp.log[before:])
		r.Found += int(got)
		if missing := p.batches[i].total() - got; missing > 0 {
			if short++; short == 1 {
				first = shortage{&p.batches[i], depth, w, missing}
			}
		}
	}
	if short > 0 {
		r.Role, r.RoleDomain = p.roles[first.role].spec.Name, p.domain(first.depth, first.v)
		r.Excluded = p.excluded(pp, first.role, first.depth, first.v)
		r.Outside = p.outside(pp, v, first)
	}
	if short == 1 {
		r.Changes = p.changes(pp, first)
	}
	pp.undo(0)
	return r
}

// outside returns the room for a role outside its boundary domain but within candidate v.
func (p *problem) outside(pp *partial, v int32, s shortage) int {
	rdma := p.gang.RDMA || p.roles[s.role].spec.RDMA
	if !rdma || s.depth != p.boundary() || s.depth <= p.required {
		return 0
	}
	return int(pp.sum(s.role, p.required, v) - pp.sum(s.role, s.depth, s.v))
}

// shortage is a batch with members that found no room in a domain.
type shortage struct {
	*batch
	depth   int
	v       int32
	missing int64
}

func putSince(log []place) int64 {
	n := int64(0)
	for _, l := range log {
		n += int64(l.n)
	}
	return n
}

// excluded counts the unused nodes of a domain without room for the role. It groups them by
// cause, in a fixed order.
func (p *problem) excluded(pp *partial, role, depth int, v int32) []Exclusion {
	lo, hi := pp.f.span(depth, v)
	counts := make([]int, causes+len(p.dims)+len(p.nodeLimits)+len(p.pools))
	var refused []string
	for pos := lo; pos < hi; pos++ {
		if pp.used(pos) || pp.slots(role, pos) > 0 && pp.order.accepts(role, pos) {
			continue
		}
		cause := p.cause(pp, role, pos)
		if counts[cause]++; cause == causeFilter {
			refused = append(refused, pp.f.names[pos])
		}
	}
	p.stats.NodesTouched += int(hi - lo)
	var out []Exclusion
	for i, n := range counts {
		if n == 0 {
			continue
		}
		exclusion := Exclusion{Cause: p.causeName(i), Nodes: n}
		if i == causeFilter {
			exclusion.Refused = refused
		}
		out = append(out, exclusion)
	}
	return out
}

// These causes have names of their own. The causes of the dimensions follow them, then the
// node limits and the pools.
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

// cause returns the cause that keeps one more member of a role off a node: one of the cause
// constants, or causes plus the index of a dimension, node limit or pool.
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
	if most, ok := r.spec.Limit[pp.f.names[pos]]; ok && int32(most) <= pp.on(role, pos) {
		return causeAvoided
	}
	if pp.apart.room(role, pos, false) == 0 {
		return causeAntiAffinity
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

// dimName returns the name of a resource, or the names of device kinds.
func (p *problem) dimName(d int) string {
	x := &p.dims[d]
	if x.resource >= 0 {
		return p.snap.layout.Resources[x.resource]
	}
	names := make([]string, len(x.kinds))
	for i, k := range x.kinds {
		names[i] = p.snap.layout.Kinds[k]
	}
	return strings.Join(names, "|")
}

// changes lists the changes that would resolve a shortage: the least amount of one resource
// on one node, whole nodes like the best in the fabric, or further domains for slices.
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
	if most := int64(p.roles[s.role].roll.most[0][0]); most > 0 && s.depth <= pp.f.levels && p.usesNewNodes(s.role) {
		out = append(out, Change{Count: (s.missing + most - 1) / most, What: NodeLevel, Where: where})
	}
	return out
}

// usesNewNodes reports whether further nodes may help a role: they may be nodes that it can
// use, no rule keeps its members out of whole domains, and they need no item of a pool.
func (p *problem) usesNewNodes(role int) bool {
	r := &p.roles[role]
	if r.ordered() || r.pooled || r.limited && (r.spec.NodesFixed || len(r.only) == 0) {
		return false
	}
	return !slices.ContainsFunc(r.apart, func(i int32) bool { return !p.apart[i].domains.areNodes() })
}

// repair returns the smallest amount of a single resource or kind that would resolve the
// shortage, and its node.
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
		if lack > 0 && (best.Count == 0 || lack < best.Count) {
			best = Change{Count: lack, What: p.dimName(d), Where: pp.f.names[pos]}
		}
	}
	return best
}

// onlyLack returns the single dimension that keeps n members off a node, and the missing
// amount. The amount is zero if several dimensions are short.
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

// leftOver explains members beyond the quorum that found no room.
func (p *problem) leftOver(pp *partial) []Reason {
	put := make([]int64, len(p.batches))
	for _, l := range pp.log {
		put[l.batch] += int64(l.n)
	}
	depth, v, _ := p.base(pp)
	for i := range p.batches {
		x := &p.batches[i]
		if put[i] == x.total() {
			continue
		}
		return []Reason{{
			Kind: NoRoom, Domain: p.domain(depth, v), Role: p.roles[x.role].spec.Name,
			RoleDomain: p.domain(depth, v), Wanted: int(x.total()), Found: int(put[i]),
			Excluded: p.excluded(pp, x.role, depth, v),
		}}
	}
	return nil
}
