// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"math"
	"slices"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// occupied is a small cluster with occupants and a gang: the input of Clear and of its
// reference, which tries every set of victims and every placement without them.
type occupied struct {
	// empty has the nodes without occupants.
	empty     *simulation
	occupants []plan.Occupant
	// blocks has, for some occupants, the node that the filters refuse while the occupant is
	// there.
	blocks map[int]string
}

// drawOccupied returns a random cluster with at most most occupants. In most clusters the
// gang has a placement if they are all gone.
func drawOccupied(d dice, most int) *occupied {
	w := &occupied{empty: draw(d), blocks: map[int]string{}}
	for range 4 {
		if plan.Plan(w.empty.snapshot(), w.empty.gang, w.empty.fits, plan.Options{}).Placed {
			break
		}
		w.empty = draw(d)
	}
	count, occupy := d.roll(most+1), occupySome
	if often(d, 4) {
		// Many occupants share equal nodes, so that several must leave.
		simplify(d, w.empty)
		count, occupy = most-d.roll(3), occupyLittle
	}
	free := emptiedNodes(w.empty.nodes, nil, nil)
	for k := range count {
		o := plan.Occupant{Name: fmt.Sprintf("o%d", k), Priority: int64(d.roll(3)), Leaving: d.roll(12) == 0}
		for range d.roll(4) {
			o.Cost = append(o.Cost, int64(d.roll(4)))
		}
		if d.roll(12) == 0 {
			o.Breaches = int64(1 + d.roll(2))
		}
		for range 1 + d.roll(10)/6 {
			o.Uses = append(o.Uses, occupy(d, &free[d.roll(len(free))]))
		}
		for i := range k {
			if d.roll(12) == 0 {
				o.After = append(o.After, w.occupants[i].Name)
			}
		}
		if d.roll(8) == 0 {
			w.blocks[k] = w.empty.nodes[d.roll(len(w.empty.nodes))].Name
		}
		w.occupants = append(w.occupants, o)
	}
	return w
}

// occupySome takes a part of what is free on a node, often all.
func occupySome(d dice, n *plan.NodeSpec) plan.Usage {
	return occupy(n, func(v int) int {
		if often(d, 4) {
			return v
		}
		return d.roll(v + 1)
	})
}

// occupyLittle takes at most two of each resource and kind that is free on a node.
func occupyLittle(d dice, n *plan.NodeSpec) plan.Usage {
	return occupy(n, func(v int) int { return min(v, 1+d.roll(2)) })
}

func occupy(n *plan.NodeSpec, part func(v int) int) plan.Usage {
	u := plan.Usage{Node: n.Name}
	for r, v := range n.Free {
		took := int64(part(int(v)))
		u.Resources = append(u.Resources, took)
		n.Free[r] -= took
	}
	for i := range n.Units {
		unit := plan.Unit{}
		for k, v := range n.Units[i].Free {
			took := part(v)
			unit.Free = append(unit.Free, took)
			n.Units[i].Free[k] -= took
		}
		u.Units = append(u.Units, unit)
	}
	return u
}

// without returns the cluster without some occupants.
func (w *occupied) without(gone []int) *simulation {
	sim := *w.empty
	sim.nodes = emptiedNodes(sim.nodes, nil, nil)
	for k := range w.occupants {
		if slices.Contains(gone, k) {
			continue
		}
		for _, u := range w.occupants[k].Uses {
			at := slices.IndexFunc(sim.nodes, func(n plan.NodeSpec) bool { return n.Name == u.Node })
			subtractUsage(&sim.nodes[at], u)
		}
	}
	sim.caps = nil
	for role := range w.empty.caps {
		caps := map[string]int{}
		for node, most := range w.empty.caps[role] {
			caps[node] = most
		}
		for k, node := range w.blocks {
			if !slices.Contains(gone, k) {
				caps[node] = 0
			}
		}
		sim.caps = append(sim.caps, caps)
	}
	return &sim
}

func subtractUsage(n *plan.NodeSpec, u plan.Usage) {
	for r, v := range u.Resources {
		n.Free[r] -= v
	}
	for i := range u.Units {
		for k, v := range u.Units[i].Free {
			n.Units[i].Free[k] -= v
		}
	}
}

func (w *occupied) fits(gone []int, role int, node string, already int) bool {
	for k, blocked := range w.blocks {
		if blocked == node && !slices.Contains(gone, k) {
			return false
		}
	}
	return w.empty.fits(role, node, already)
}

// leaving lists the occupants that leave already.
func (w *occupied) leaving() []int {
	var out []int
	for k := range w.occupants {
		if w.occupants[k].Leaving {
			out = append(out, k)
		}
	}
	return out
}

// cost returns the cost of victims by the definition of Occupant, nil without victims.
func (w *occupied) cost(victims []int) []int64 {
	if len(victims) == 0 {
		return nil
	}
	terms := 0
	for i := range w.occupants {
		terms = max(terms, len(w.occupants[i].Cost))
	}
	out := make([]int64, 3+terms)
	out[1] = math.MinInt64
	for _, k := range victims {
		o := &w.occupants[k]
		out[0] += o.Breaches
		out[1] = max(out[1], o.Priority)
		for t, v := range o.Cost {
			out[2+t] += v
		}
		out[2+terms]++
	}
	return out
}

// allowed reports whether a set of victims has all that its members come after.
func (w *occupied) allowed(victims []int) bool {
	for _, k := range victims {
		for _, name := range w.occupants[k].After {
			i := slices.IndexFunc(w.occupants, func(o plan.Occupant) bool { return o.Name == name })
			if !w.occupants[i].Leaving && !slices.Contains(victims, i) {
				return false
			}
		}
	}
	return true
}

// clearingCost is the cost of victims, and of the placement without them. placed is false if
// no victims would do.
type clearingCost struct {
	placed        bool
	victims, plan []int64
}

// solve tries the sets of victims in ascending order of cost. It plans with those that cost
// as much as the cheapest that will do.
func (w *occupied) solve() clearingCost {
	if c := w.without(nil).solve(); c != nil {
		return clearingCost{true, nil, c}
	}
	leaving := w.leaving()
	var sets [][]int
	for set := range 1 << len(w.occupants) {
		var victims []int
		for k := range w.occupants {
			if set>>k&1 == 1 {
				victims = append(victims, k)
			}
		}
		if !slices.ContainsFunc(victims, func(k int) bool { return w.occupants[k].Leaving }) && w.allowed(victims) {
			sets = append(sets, victims)
		}
	}
	slices.SortStableFunc(sets, func(a, b []int) int { return slices.Compare(w.cost(a), w.cost(b)) })
	best := clearingCost{}
	for _, victims := range sets {
		cost := w.cost(victims)
		if best.placed && slices.Compare(cost, best.victims) > 0 {
			break
		}
		c := w.without(append(slices.Clone(leaving), victims...)).solve()
		if c != nil && (!best.placed || slices.Compare(c, best.plan) < 0) {
			best = clearingCost{true, cost, c}
		}
	}
	return best
}

// String prints the cluster for a failed test.
func (w *occupied) String() string {
	s := w.empty.String() + fmt.Sprintf("\nblocks %v\n", w.blocks)
	for _, o := range w.occupants {
		s += fmt.Sprintf("occupant %+v\n", o)
	}
	return s
}
