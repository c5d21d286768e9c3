// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// explain returns the reasons why the gang has no placement: for each of the best
// candidate domains, how many members fit and which causes exclude the other nodes. ended
// is true if the search ran out of steps.
func (p *problem) explain(ended bool) []Reason {
	quorums, complete := p.quorumChoices()
	if len(quorums) == 0 {
		return []Reason{{Kind: BadRequest, Subject: "min", Detail: "the groups chosen cannot reach it"}}
	}
	p.filters = nil // use the filters' refusals known by now, without further calls
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
		out = append(out, p.miss(pp, v, complete && len(quorums) == 1))
	}
	from := len(out) - len(cands)
	slices.SortStableFunc(out[from:], func(x, y Reason) int { return cmp.Compare(y.Found, x.Found) })
	return out
}

// contradiction returns a set of members, some of them pending, that one domain must hold
// although its bound members are not in one. It returns nil if there is no such set.
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

// wanted returns the number of members in all batches (members of one role that are placed
// together): those that the search must place.
func (p *problem) wanted() int {
	n := int64(0)
	for i := range p.batches {
		n += p.batches[i].total()
	}
	return int(n)
}

// miss fills one domain in which the gang could be placed, as far as possible, and
// describes the room that is missing. onlyQuorum is true if only one choice of members
// satisfies the gang's minimums: only then miss checks whether the room can never suffice.
// If a single batch lacks room, miss lists changes of the cluster that would help.
func (p *problem) miss(pp *partial, v int32, onlyQuorum bool) Reason {
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
		r.ManyRoles = len(p.roles) > 1
		r.Excluded, r.Full = p.excluded(pp, first.role, first.depth, first.v)
		r.Outside = p.outside(pp, v, first)
		if onlyQuorum {
			r.Never = p.never(first)
		}
	}
	if short == 1 && r.Never == nil {
		r.Changes = p.changes(pp, first)
	}
	pp.undo(0)
	return r
}

// outside returns how many members of the role that lacks room fit in the candidate
// domain with vertex v, but outside the boundary domain (which RDMA cannot leave) that
// must hold them. It returns 0 without RDMA.
func (p *problem) outside(pp *partial, v int32, s shortage) int {
	rdma := p.gang.RDMA || p.roles[s.role].spec.RDMA
	if !rdma || s.depth != p.boundary() || s.depth <= p.required {
		return 0
	}
	return int(pp.sum(s.role, p.required, v) - pp.sum(s.role, s.depth, s.v))
}

func putSince(log []place) int64 {
	n := int64(0)
	for _, l := range log {
		n += int64(l.n)
	}
	return n
}

// leftOver explains why some members beyond the quorum (the gang's minimums) found no
// room. It describes the first batch (members of one role that are placed together) with
// such members.
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
		r := Reason{
			Kind: NoRoom, Domain: p.domain(depth, v), Role: p.roles[x.role].spec.Name, ManyRoles: len(p.roles) > 1,
			RoleDomain: p.domain(depth, v), Wanted: int(x.total()), Found: int(put[i]),
		}
		r.Excluded, r.Full = p.excluded(pp, x.role, depth, v)
		return []Reason{r}
	}
	return nil
}
