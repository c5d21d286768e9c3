// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// clearExact searches the sets of victims (occupants that may be evicted) of one domain by branch
// and bound. A branch divides the victims into those that are gone, those that stay, and open
// ones. A branch ends
//   - if the lower bound of its cost is not below the cost of the best victims so far or, in a
//     domain with few victims, if it is above that cost;
//   - if the gang has no placement even without the open victims, and therefore has none
//     without a part of them. The search calls the filters for this only if the domain lists
//     all victims;
//   - once the gang has a placement without the victims that are gone: more victims only cost
//     more.
type clearExact struct {
	*clearSearch
	domain *clearDomain
	// in counts the room without the victims that are gone, may without these and the open
	// victims.
	in, may *emptied
	open    []int32
	// few is true if the domain has at most fewVictims victims. listsAll is true if
	// the domain's victims are all victims.
	few, listsAll bool
}

// prove searches the victims of a domain exactly if the domain's bound allows better victims
// than the best so far. Otherwise, with too many victims or without steps left, it skips the
// domain.
func (s *clearSearch) prove(d *clearDomain) {
	few := len(d.victims) <= fewVictims
	if s.beaten(d.bound) && (!few || slices.Compare(d.bound, s.best.cost) > 0) || len(d.victims) > manyVictims || s.spent() {
		s.skip(d.bound)
		return
	}
	x := clearExact{clearSearch: s, domain: d, in: s.none.clone(), may: s.none.clone(), few: few, listsAll: len(d.victims) == len(s.list)}
	for _, i := range d.victims {
		x.may.remove(s.victims, int(i))
	}
	x.branch()
}

// branch searches all sets that contain the victims gone in in, and only victims gone in may.
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

// toBeat returns the cost of the best victims so far, nil if there are none.
func (x *clearExact) toBeat() []int64 {
	if x.best == nil {
		return nil
	}
	return x.best.cost
}

// places reports whether the gang has a placement without the victims that are gone. If so, it
// compares the necessary ones of them with the best victims so far.
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
	// The filters refused. They may accept if victims of other domains leave, too.
	if !x.listsAll {
		x.skip(x.cost(x.in.gone))
	}
	return false
}

// searchGone searches the sets of the branch in which victim i is gone, and so are the victims
// that must leave before it.
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

// searchKept searches the sets of the branch in which victim i stays, and so do the victims
// that must leave after it.
func (x *clearExact) searchKept(i int32) {
	var changed []int
	for _, k := range append(slices.Clone(x.list[i].after), i) {
		if x.may.gone[k] {
			x.may.restore(x.victims, int(k))
			changed = append(changed, int(k))
		}
	}
	// Without victims of other domains, a refusal of the filters ends no branch: the filters may
	// accept if such victims leave, too. places records the sets that they refuse.
	if !x.few || x.may.mayHold(x.domain.v) && x.probe(x.may.gone, x.listsAll).placed {
		x.branch()
	}
	for _, k := range changed {
		x.may.remove(x.victims, k)
	}
}
