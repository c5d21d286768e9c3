// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// exact finds the cheapest placement inside one domain by exhaustive search, member by
// member. It skips placements that cannot be cheaper than the best one found, that differ
// only by exchanging equal nodes or equal slices, or that leave no room for the remaining
// members.
type exact struct {
	p            *problem
	partial      *partial
	depth        int
	v, lo, hi    int32
	units        []unit
	confinements []confinementState
	wishes       []wishState
	broken       int64        // the number of wishes that are broken
	taken        []spreadKey  // by role, the domains of level Slice.Spread that hold a slice
	first        []int32      // by unit, the position of the node of its first member
	left         []int64      // by role, the members still to place
	until        int          // the search is cut at this step
	cut          bool         // the step budget ended before the search did
	unsure       bool         // the search for an order of a placement's members was cut short
	refused      *refusedNode // the node that the filters refused in the last full placement
	costToBeat   []int64      // the cost of the best placement known, nil if there is none
	places       []place      // the places of the members in the best placement found
	buf          []int64
	undoWish     []wishUndo
}

// unit is a number of members that exact places one right after the other: one slice
// (members that belong together), or all members of a batch (members of one role that are
// placed together) without slices.
type unit struct {
	batch, slice, n      int32
	role                 int
	confinements, wishes []int32
	spread               int
	twin                 bool // interchangeable with the unit before it: an equal slice
}

// confinementState says in which domain the members of a confinement (members that one
// domain must hold) are so far, and how many they are. All bound members together count as
// one member.
type confinementState struct {
	depth   int
	v       int32
	members int32
}

// wishState says in which domain the last placed member of a wish (members that one domain
// should hold) is, -1 for none, and whether the wish is broken.
type wishState struct {
	depth  int
	v      int32
	broken bool
}

type wishUndo struct {
	n   int32
	was wishState
}

func newExact(pp *partial, depth int, v int32, bound []int64, steps int) *exact {
	e := &exact{p: pp.p, partial: pp, depth: depth, v: v, costToBeat: bound, until: pp.p.steps + steps}
	e.lo, e.hi = pp.f.span(depth, v)
	e.left = make([]int64, len(pp.p.roles))
	for _, s := range pp.p.confinements {
		e.confinements = append(e.confinements, newConfinementState(s.depth, s.fixed, s.apart))
	}
	for _, w := range pp.p.wishes {
		e.wishes = append(e.wishes, wishState{w.depth, w.first, w.broken})
		if w.broken {
			e.broken++
		}
	}
	for r := range pp.p.roles {
		for _, t := range pp.p.roles[r].taken {
			e.taken = append(e.taken, spreadKey{r, t})
		}
	}
	for i := range pp.p.batches {
		e.addUnits(int32(i))
	}
	e.first = make([]int32, len(e.units))
	return e
}

// newConfinementState returns the state of a confinement (members that one domain must
// hold) before the search. Bound members fix the domain. If they are in different domains
// (apart), the domain is -1, so that no further member can join.
func newConfinementState(depth int, fixed int32, apart bool) confinementState {
	switch {
	case apart:
		return confinementState{depth, -1, 1}
	case fixed >= 0:
		return confinementState{depth, fixed, 1}
	}
	return confinementState{depth: depth, v: -1}
}

func (e *exact) addUnits(batch int32) {
	x := &e.p.batches[batch]
	e.left[x.role] += x.total()
	if !x.sliced {
		e.units = append(e.units, unit{batch: batch, n: x.count, role: x.role, confinements: x.confinements, wishes: x.wishes})
		return
	}
	for k := int32(0); k < x.count; k++ {
		u := unit{
			batch: batch, slice: k, n: x.size, role: x.role, twin: k > 0, spread: x.rule.spread,
			confinements: slices.Clone(x.confinements), wishes: slices.Clone(x.wishes),
		}
		for _, depth := range []int{x.rule.coarser, x.rule.required} {
			if depth > 0 {
				u.confinements = append(u.confinements, int32(len(e.confinements)))
				e.confinements = append(e.confinements, newConfinementState(depth, -1, false))
			}
		}
		if x.rule.preferred > 0 {
			u.wishes = append(u.wishes, int32(len(e.wishes)))
			e.wishes = append(e.wishes, wishState{depth: x.rule.preferred, v: -1})
		}
		e.units = append(e.units, u)
	}
}

// run searches all placements in the domain and keeps the best. complete is false if a part
// of the search was cut short. run leaves the partial placement (the members placed before)
// as it was.
func (e *exact) run() (complete bool) {
	e.walk(0, e.units[0].n, e.lo)
	return !e.cut && !e.unsure
}

// walk places the remaining members of unit u (a slice, or a batch without slices) on
// node positions >= from, and then all later units.
func (e *exact) walk(u int, left, from int32) {
	e.p.steps++
	if e.p.steps >= e.until {
		e.cut = true
		return
	}
	if left == 0 {
		if u++; u == len(e.units) {
			e.finish()
			return
		}
		left, from = e.units[u].n, e.lo
		if e.units[u].twin {
			from = e.first[u-1]
		}
	}
	if e.hopeless() {
		return
	}
	x := &e.units[u]
	var tried []int32
	for pos := from; pos < e.hi && !e.stopped(); pos++ {
		if (pos-from)%scanSteps == scanSteps-1 {
			e.p.steps += 1 + len(tried)/scanSteps
		}
		if e.partial.slots(x.role, pos) == 0 || e.repeats(tried, pos) {
			continue
		}
		if !e.enter(u, pos, left == x.n) {
			continue
		}
		tried = append(tried, pos)
		e.walk(u, left-1, pos)
		e.leave(u, pos, left == x.n)
	}
}

// hopeless returns true if the rest of the members has no room, or if no placement that
// extends the current one can be cheaper than the best one.
func (e *exact) hopeless() bool {
	for r, n := range e.left {
		if n > 0 && e.partial.sum(r, e.depth, e.v) < n {
			return true
		}
	}
	if e.costToBeat == nil {
		return false
	}
	e.buf = e.partial.cost(e.buf, e.broken)
	return slices.Compare(e.buf, e.costToBeat) >= 0
}

// repeats returns true if the node at pos is interchangeable with a node already tried.
func (e *exact) repeats(tried []int32, pos int32) bool {
	if !e.partial.pristine(pos) {
		return false
	}
	c, home := e.p.snap.class(pos), e.partial.f.at(e.partial.f.levels, pos)
	for _, t := range tried {
		if e.p.snap.sameClass(t, c) && e.p.alike(t, pos) && e.partial.f.at(e.partial.f.levels, t) == home && e.partial.pristine(t) {
			return true
		}
	}
	return false
}

// stopped returns true if the walk must backtrack: the step budget ended, or an earlier
// node holds more members than the filters accept.
func (e *exact) stopped() bool {
	if e.refused != nil && e.partial.on(e.refused.role, e.refused.pos) <= e.partial.limit(e.refused.role, e.refused.pos) {
		e.refused = nil
	}
	return e.cut || e.refused != nil
}

// enter puts one member of unit u on the node at pos. It returns false if a required level
// or Slice.Spread (no two slices share a domain of this level) forbids the node. opens is
// true for the unit's first member.
func (e *exact) enter(u int, pos int32, opens bool) bool {
	x := &e.units[u]
	for _, n := range x.confinements {
		s := &e.confinements[n]
		v := e.partial.f.at(s.depth, pos)
		if s.members > 0 && s.v != v || !e.partial.f.real(s.depth, v) {
			return false
		}
	}
	if opens && x.spread > 0 {
		key := spreadKey{x.role, e.partial.f.at(x.spread, pos)}
		if slices.Contains(e.taken, key) {
			return false
		}
		e.taken = append(e.taken, key)
	}
	for _, n := range x.confinements {
		e.confinements[n].v = e.partial.f.at(e.confinements[n].depth, pos)
		e.confinements[n].members++
	}
	for _, n := range x.wishes {
		e.undoWish = append(e.undoWish, wishUndo{n, e.wishes[n]})
		e.addToWish(&e.wishes[n], pos)
	}
	if opens {
		e.first[u] = pos
	}
	e.left[x.role]--
	e.partial.put(x.batch, x.slice, pos, 1)
	return true
}

// addToWish adds a member on the node at pos to a wish: members that one domain should
// hold. A second domain, or a node without the level, breaks the wish.
func (e *exact) addToWish(w *wishState, pos int32) {
	v := e.partial.f.at(w.depth, pos)
	if !w.broken && (w.v >= 0 && w.v != v || !e.partial.f.real(w.depth, v)) {
		w.broken = true
		e.broken++
	}
	w.v = v
}

// leave removes the member that enter put on the node at pos. Its arguments are those of
// enter.
func (e *exact) leave(u int, pos int32, opens bool) {
	x := &e.units[u]
	e.partial.undo(len(e.partial.log) - 1)
	e.left[x.role]++
	for range x.wishes {
		last := e.undoWish[len(e.undoWish)-1]
		e.undoWish = e.undoWish[:len(e.undoWish)-1]
		if e.wishes[last.n].broken && !last.was.broken {
			e.broken--
		}
		e.wishes[last.n] = last.was
	}
	for _, n := range x.confinements {
		e.confinements[n].members--
	}
	if opens && x.spread > 0 {
		e.taken = e.taken[:len(e.taken)-1]
	}
}

// finish keeps a complete placement as the best if it is cheaper than the best, the
// Spread and Affinity rules accept its members in some order, and the filters accept it.
func (e *exact) finish() {
	e.buf = e.partial.cost(e.buf, e.broken)
	if e.costToBeat != nil && slices.Compare(e.buf, e.costToBeat) >= 0 {
		return
	}
	places, ok, proven := e.p.inOrder(e.partial.log)
	e.unsure = e.unsure || !proven
	if !ok {
		return
	}
	if e.refused = e.partial.verify(); e.refused != nil {
		return
	}
	e.costToBeat = slices.Clone(e.buf)
	e.places = slices.Clone(places)
}
