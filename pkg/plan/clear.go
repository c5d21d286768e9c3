// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
)

// Clear returns the cheapest occupants (sets of running pods) without which the gang has a
// placement, and this placement. If the gang has none even without all occupants, Clear
// returns the reasons. Clear is a pure function: the same snapshot, gang, occupants and answers
// of fits (the caller's filters) give the same Clearing, for any order of the input. A nil fits
// accepts everything.
//
// Clear uses the same rules, pools (items, such as volumes, of which members take some) and
// limits of the gang for all sets of occupants. If they depend on pods that may leave, the
// caller must give those that hold without these pods, and fits must check the others.
func Clear(s *Snapshot, g Gang, occupants []Occupant, fits FitsWithout, o Options) Clearing {
	if f := checkOccupants(&s.layout, occupants); f != nil {
		return Clearing{Decision: f.decision(&g), Proven: true}
	}
	if o.ClearBudget <= 0 {
		o.ClearBudget = DefaultClearBudget
	}
	c := prober{snap: s, gang: &g, occupants: occupants, fits: fits, options: o, answers: map[string]map[fitsCall]bool{}}
	// 1. The nodes as they are.
	d := c.plan(s, nil)
	if d.Placed || len(d.Reasons) > 0 && d.Reasons[0].Kind == BadRequest {
		return c.answer(d, nil)
	}
	// 2. Without the occupants that leave already.
	c.leave()
	if len(c.leaving) > 0 {
		if d = c.plan(c.snap, nil); d.Placed {
			return c.answer(d, nil)
		}
	}
	// 3. Without all occupants. If there is no placement now, no eviction can help.
	c.victims = newVictims(c.snap.fabric, occupants)
	if len(c.list) == 0 {
		return c.answer(d, nil)
	}
	p, reason := compile(c.snap, &g, nil, o, &Stats{})
	if reason != nil {
		return c.answer(d, nil)
	}
	search := newClearSearch(&c, p)
	all := search.bounds.all
	emptiest := all.snapshot()
	everything := c.probeOn(emptiest, all.gone, true)
	if !everything.placed {
		return c.answer(c.plan(emptiest, all.gone), nil)
	}
	// 4. Search for the cheapest victims (occupants to evict).
	search.run(everything)
	// 5. Without the victims.
	gone := search.best.gone
	out := c.answer(c.plan(c.without(gone), gone), gone)
	out.Proven, out.Least = search.proven, search.least
	return out
}

// leave removes from the snapshot the occupants whose pods are already being deleted.
func (w *prober) leave() {
	var freed []usageAt
	for i := range w.occupants {
		if w.occupants[i].Leaving {
			w.leaving = append(w.leaving, i)
			freed = append(freed, usesAt(w.snap.fabric, w.occupants[i].Uses)...)
		}
	}
	if len(freed) == 0 {
		return
	}
	w.snap = w.snap.freeing(freed).Freeze()
}

// answer returns the Clearing for the Decision of a plan in which the victims in gone have
// left. It sets Proven and Least as for an answer without victims.
func (w *prober) answer(d Decision, gone []bool) Clearing {
	out := Clearing{Decision: d, Proven: d.Placed || !d.Exhausted, Stats: w.stats}
	out.Least = out.Proven
	for i, is := range gone {
		if is {
			out.Victims = append(out.Victims, w.list[i].index)
		}
	}
	if len(out.Victims) > 0 {
		out.Cost = w.cost(gone)
	}
	if d.Placed {
		out.Awaited = w.awaited(&d)
	}
	for _, list := range [][]int{out.Victims, out.Awaited} {
		slices.SortFunc(list, func(a, b int) int { return natural(w.occupants[a].Name, w.occupants[b].Name) })
	}
	return out
}

// awaited returns the leaving occupants that use nodes of the placement in d.
func (w *prober) awaited(d *Decision) []int {
	used := map[string]bool{}
	for i := range d.Assignments {
		used[d.Assignments[i].Node] = true
	}
	var out []int
	for _, i := range w.leaving {
		if slices.ContainsFunc(w.occupants[i].Uses, func(u Usage) bool { return used[u.Node] }) {
			out = append(out, i)
		}
	}
	return out
}
