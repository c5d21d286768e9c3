// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// maxReasons is the maximum number of candidate domains that a Decision without a
// placement describes.
const maxReasons = 3

// nearMisses returns up to maxReasons domains of the gang's required level, as vertices.
// The domain with room for the most members, by counts of resources and devices, is first.
// If members are bound (have a node already), it returns only their domain.
func (p *problem) nearMisses(pp *partial) []int32 {
	total := make([]int64, len(p.roles))
	for i := range p.batches {
		total[p.batches[i].role] += p.batches[i].total()
	}
	room := func(v int32) int64 {
		n := int64(0)
		for r, t := range total {
			n += min(t, pp.sum(r, p.required, v))
		}
		return n
	}
	type near struct {
		v    int32
		room int64
	}
	var best []near
	for v := int32(0); v < pp.f.width(p.required); v++ {
		if !pp.f.real(p.required, v) || !p.holdsBound(pp.f, v) {
			continue
		}
		n := near{v, room(v)}
		i, _ := slices.BinarySearchFunc(best, n, func(x, y near) int {
			return cmp.Or(cmp.Compare(y.room, x.room), cmp.Compare(x.v, y.v))
		})
		if i < maxReasons {
			best = slices.Insert(best, i, n)
			best = best[:min(len(best), maxReasons)]
		}
	}
	out := make([]int32, len(best))
	for i := range best {
		out[i] = best[i].v
	}
	return out
}

func (p *problem) holdsBound(f *fabric, v int32) bool {
	return len(p.bound) == 0 || f.at(p.required, p.bound[0]) == v
}

// base returns the domain that must hold all members of the gang, as a depth and a vertex
// of the topology tree. If the gang requires a level, it is the domain of this level in
// which members have nodes already or, if no member has one, the domain with the most
// room. Otherwise it is the whole fabric. ok is false if there is no such domain or if
// bound members are in different domains.
func (p *problem) base(pp *partial) (depth int, v int32, ok bool) {
	if p.required == 0 {
		return 0, 0, true
	}
	v, apart := p.commonDomain(p.required, p.bound)
	switch {
	case apart:
		return 0, 0, false
	case v >= 0:
		return p.required, v, true
	case len(pp.log) > 0:
		return p.required, pp.f.at(p.required, pp.log[0].pos), true
	}
	for _, v := range p.nearMisses(pp) {
		return p.required, v, true
	}
	return 0, 0, false
}
