// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
)

// Clear returns the cheapest occupants without which the gang has a placement, with this
// placement, or the reasons why it has none even without all of them. It is a pure function:
// the same snapshot, gang, occupants and answers of fits (the caller's filters) give the same
// Clearing, for any order of the input. A nil fits accepts everything.
//
// The gang's rules, pools and limits are the same for all sets of occupants. If they depend on
// pods that may leave, they must be those without these pods, and fits must check them.
func Clear(s *Snapshot, g Gang, occupants []Occupant, fits FitsWithout, o Options) Clearing {
	if f := checkOccupants(&s.layout, occupants); f != nil {
		d := Decision{Gang: g.Name}
		return Clearing{Decision: d.rejected(Reason{Kind: BadRequest, Subject: f.subject, Detail: f.detail}), Proven: true}
	}
	if o.ClearBudget <= 0 {
		o.ClearBudget = DefaultClearBudget
	}
	c := clearing{world{snap: s, gang: &g, occupants: occupants, fits: fits, options: o, answers: map[string]map[fitsCall]bool{}}}
	// 1. The nodes as they are.
	c.victims = &victims{}
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
	// 3. Without all occupants: if there is no placement now, no victims can help.
	c.victims = newVictims(c.snap.fabric, occupants)
	if len(c.list) == 0 {
		return c.answer(d, nil)
	}
	every := slices.Repeat([]bool{true}, len(c.list))
	emptiest := c.without(every)
	everything := c.probeOn(emptiest, every, true)
	if !everything.placed {
		return c.answer(c.plan(emptiest, every), nil)
	}
	// 4. The cheapest victims.
	p, reason := compile(c.snap, &g, nil, o, &Stats{})
	if reason != nil {
		return c.answer(d, nil)
	}
	search := newClearSearch(&c.world, p)
	search.run(everything)
	// 5. The plan without them.
	gone := search.best.gone
	out := c.answer(c.plan(c.without(gone), gone), gone)
	out.Proven, out.Least = search.proven, search.least
	return out
}

// clearing makes the answer of Clear.
type clearing struct{ world }

// leave lets those occupants leave that do so already.
func (c *clearing) leave() {
	var freed []usageAt
	for i := range c.occupants {
		if c.occupants[i].Leaving {
			c.leaving = append(c.leaving, i)
			freed = append(freed, usesAt(c.snap.fabric, c.occupants[i].Uses)...)
		}
	}
	if len(freed) == 0 {
		return
	}
	fork := c.snap.Fork()
	fork.give(freed)
	c.snap = fork.Freeze()
}

// answer returns the Clearing for a Decision without a set of victims. Proven and Least are
// those of an answer without victims.
func (c *clearing) answer(d Decision, gone []bool) Clearing {
	out := Clearing{Decision: d, Proven: d.Placed || !d.Exhausted, Stats: c.stats}
	out.Least = out.Proven
	for i, is := range gone {
		if is {
			out.Victims = append(out.Victims, c.list[i].index)
		}
	}
	if len(out.Victims) > 0 {
		out.Cost = c.cost(gone)
	}
	if d.Placed {
		out.Awaited = c.awaited(&d)
	}
	for _, list := range [][]int{out.Victims, out.Awaited} {
		slices.SortFunc(list, func(a, b int) int { return naturalThenExact(c.occupants[a].Name, c.occupants[b].Name) })
	}
	return out
}

// awaited returns the occupants that leave already and that use nodes of a placement.
func (c *clearing) awaited(d *Decision) []int {
	used := map[string]bool{}
	for i := range d.Assignments {
		used[d.Assignments[i].Node] = true
	}
	var out []int
	for _, i := range c.leaving {
		if slices.ContainsFunc(c.occupants[i].Uses, func(u Usage) bool { return used[u.Node] }) {
			out = append(out, i)
		}
	}
	return out
}
