// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// clearExact searches the sets of victims of one domain by branch and bound. A branch has
// victims that are gone, victims that stay, and open ones. It ends if its bound is not below
// the cost of the best victims, if the gang has no placement even without the open victims
// (then it has none without a part of them), or once the gang has a placement without those
// that are gone (more of them only cost more).
type clearExact struct {
	*clearSearch
	domain *clearDomain
	// in has the victims that are gone, may these and the open ones.
	in, may *emptied
	open    []int32
	few     bool
}

// prove searches the victims of a domain exactly, if its bound says that this can improve on
// the best victims.
func (s *clearSearch) prove(d *clearDomain) {
	few := len(d.victims) <= fewVictims
	if s.beaten(d.bound) && (!few || slices.Compare(d.bound, s.best.cost) > 0) || len(d.victims) > manyVictims || s.spent() {
		s.skip(d.bound)
		return
	}
	x := clearExact{clearSearch: s, domain: d, in: s.none.clone(), may: s.none.clone(), few: few}
	for _, i := range d.victims {
		x.may.remove(s.victims, int(i))
	}
	x.branch()
}

// branch searches all sets between in and may.
func (x *clearExact) branch() {
	x.open = x.open[:0]
	for _, i := range x.domain.victims {
		if x.may.gone[i] && !x.in.gone[i] {
			x.open = append(x.open, i)
		}
	}
	x.stats.Steps += 1 + len(x.open)*(len(x.in.focus.roles)+len(x.in.free))/usesPerStep
	bound, next, ok := x.bounds.bound(x.in, x.open, x.domain.v, x.toBeat())
	if !ok || !x.may.mayHold(x.domain.v) {
		return
	}
	if x.beaten(bound) && (!x.few || slices.Compare(bound, x.best.cost) > 0) || x.spent() {
		x.skip(bound)
		return
	}
	if x.in.mayHold(x.domain.v) && x.places() {
		return
	}
	if next < 0 {
		if len(x.open) == 0 {
			return
		}
		next = x.open[0]
	}
	x.searchGone(next)
	x.searchKept(next)
}

// toBeat returns the cost of the best victims, nil if there are none.
func (x *clearExact) toBeat() []int64 {
	if x.best == nil {
		return nil
	}
	return x.best.cost
}

// places reports whether the gang has a placement without the victims that are gone. It offers
// those of them that are necessary.
func (x *clearExact) places() bool {
	found := x.probe(x.in.gone, false)
	if !found.placed {
		return false
	}
	if x.offer(x.reduce(x.in.gone, found, false)) {
		return true
	}
	if found = x.probe(x.in.gone, true); found.placed {
		return x.offer(x.reduce(x.in.gone, found, true))
	}
	// The filters refused. They may accept when victims leave that are not in the domain.
	if len(x.domain.victims) < len(x.list) {
		x.skip(x.cost(x.in.gone))
	}
	return false
}

// searchGone searches the sets in which a victim is gone.
func (x *clearExact) searchGone(i int32) {
	var changed []int
	for _, k := range append(slices.Clone(x.list[i].before), i) {
		if !x.in.gone[k] {
			x.in.remove(x.victims, int(k))
			changed = append(changed, int(k))
		}
	}
	x.branch()
	for _, k := range changed {
		x.in.restore(x.victims, k)
	}
}

// searchKept searches the sets in which a victim stays.
func (x *clearExact) searchKept(i int32) {
	var changed []int
	for _, k := range append(slices.Clone(x.list[i].after), i) {
		if x.may.gone[k] {
			x.may.restore(x.victims, int(k))
			changed = append(changed, int(k))
		}
	}
	if !x.few || x.may.mayHold(x.domain.v) && x.probe(x.may.gone, true).placed {
		x.branch()
	}
	for _, k := range changed {
		x.may.remove(x.victims, k)
	}
}
