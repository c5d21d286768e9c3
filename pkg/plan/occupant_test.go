// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// TestWithout compares plans without random occupants with plans on nodes that have the
// amounts of these occupants as free amounts.
func TestWithout(t *testing.T) {
	for i := range 3000 {
		d := seeded(*seed+14, uint64(i))
		sim := draw(d)
		var occupants []plan.Occupant
		for k := range d.roll(6) {
			occupants = append(occupants, drawOccupant(d, sim, k))
		}
		var gone []int
		for k := range occupants {
			if often(d, 5) {
				gone = append(gone, k)
			}
		}
		st, err := sim.snapshot().Without(occupants, gone)
		if err != nil {
			t.Fatalf("simulation %d: %v\n%s", i, err, sim)
		}
		emptied := *sim
		emptied.nodes = emptiedNodes(sim.nodes, occupants, gone)
		emptied.check(t, fmt.Sprintf("simulation %d without %v", i, gone), st.Freeze())
	}
}

// drawOccupant returns an occupant of one or two nodes.
func drawOccupant(d dice, sim *simulation, i int) plan.Occupant {
	o := plan.Occupant{Name: fmt.Sprintf("o%d", i), Priority: int64(d.roll(3)), Cost: []int64{int64(d.roll(4)), int64(d.roll(3))}}
	if d.roll(20) == 0 {
		o.Breaches = 1
	}
	for range 1 + d.roll(2) {
		u := plan.Usage{Node: sim.nodes[d.roll(len(sim.nodes))].Name, Resources: []int64{1, int64(d.roll(3))}}
		for range d.roll(3) {
			unit := plan.Unit{}
			for range sim.layout.Kinds {
				unit.Free = append(unit.Free, d.roll(2))
			}
			u.Units = append(u.Units, unit)
		}
		o.Uses = append(o.Uses, u)
	}
	return o
}

// emptiedNodes returns the nodes with the amounts that become free when occupants leave.
func emptiedNodes(nodes []plan.NodeSpec, occupants []plan.Occupant, gone []int) []plan.NodeSpec {
	out := slices.Clone(nodes)
	for i := range out {
		n := &out[i]
		n.Free = slices.Clone(n.Free)
		n.Units = taken(n.Units, nil, -1)
	}
	for _, k := range gone {
		for _, u := range occupants[k].Uses {
			at := slices.IndexFunc(out, func(n plan.NodeSpec) bool { return n.Name == u.Node })
			addUsage(&out[at], u)
		}
	}
	return out
}

func addUsage(n *plan.NodeSpec, u plan.Usage) {
	for r, v := range u.Resources {
		n.Free[r] += v
	}
	for k, unit := range u.Units {
		if k == len(n.Units) {
			n.Units = append(n.Units, plan.Unit{})
		}
		for kind, v := range unit.Free {
			if kind == len(n.Units[k].Free) {
				n.Units[k].Free = append(n.Units[k].Free, 0)
			}
			n.Units[k].Free[kind] += v
		}
	}
}

// TestWithoutRefuses lists the faults of occupants.
func TestWithoutRefuses(t *testing.T) {
	sim := &simulation{
		layout: plan.Layout{Resources: []string{"cpu"}, Kinds: []string{"gpu"}},
		nodes:  []plan.NodeSpec{{Name: "n", Free: []int64{1}}},
	}
	for want, occupants := range map[string][]plan.Occupant{
		"name is empty":            {{}},
		"name is empty or taken":   {{Name: "a"}, {Name: "a"}},
		"cost is negative":         {{Name: "a", Cost: []int64{-1}}},
		"end is negative":          {{Name: "a", Ends: -1}},
		"2 amounts for 1":          {{Name: "a", Uses: []plan.Usage{{Node: "n", Resources: []int64{1, 1}}}}},
		"2 counts for 1":           {{Name: "a", Uses: []plan.Usage{{Node: "n", Units: []plan.Unit{{Free: []int{1, 1}}}}}}},
		"negative amount":          {{Name: "a", Uses: []plan.Usage{{Node: "n", Resources: []int64{-1}}}}},
		"\"b\" in after":           {{Name: "a", After: []string{"b"}}},
		"2 of them must leave":     {{Name: "a", After: []string{"b"}}, {Name: "b", After: []string{"a"}}, {Name: "c"}},
		"negative amount of node ": {{Name: "a", Uses: []plan.Usage{{Node: "n", Units: []plan.Unit{{Free: []int{-1}}}}}}},
	} {
		if _, err := sim.snapshot().Without(occupants, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", occupants, err, want)
		}
	}
	elsewhere := []plan.Occupant{{Name: "a", Uses: []plan.Usage{{Node: "elsewhere", Resources: []int64{5}}}}}
	if st, err := sim.snapshot().Without(elsewhere, []int{0}); err != nil || st.Len() != 1 {
		t.Errorf("an occupant of an unknown node: %v", err)
	}
}

// shuffledOccupants returns the occupants in another order, and the new index of each.
func shuffledOccupants(rng *rand.Rand, list []plan.Occupant) ([]plan.Occupant, []int) {
	perm := rng.Perm(len(list))
	out := make([]plan.Occupant, len(list))
	for i, k := range perm {
		out[k] = list[i]
		out[k].After = slices.Clone(list[i].After)
		rng.Shuffle(len(out[k].After), func(a, b int) { out[k].After[a], out[k].After[b] = out[k].After[b], out[k].After[a] })
		out[k].Uses = slices.Clone(list[i].Uses)
		rng.Shuffle(len(out[k].Uses), func(a, b int) { out[k].Uses[a], out[k].Uses[b] = out[k].Uses[b], out[k].Uses[a] })
	}
	return out, perm
}
