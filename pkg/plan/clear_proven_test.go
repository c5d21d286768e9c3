// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// TestClearFilterOfOtherDomain has 18 victims, of which two use leaf a. The filters accept
// members on node a1 only while pod b2 of leaf b is gone, as with anti-affinity to b2. The
// cheapest victims are therefore of both leaves. Clear looks for victims of one leaf only, so it
// must not say that the victims of leaf b, which cost more, are the cheapest.
func TestClearFilterOfOtherDomain(t *testing.T) {
	sim := &simulation{layout: plan.Layout{Levels: []plan.Level{{Name: "leaf"}}, Resources: []string{"cpu"}}}
	var occupants []plan.Occupant
	occupy := func(name, leaf, node string, cpu, cost int64) {
		sim.nodes = append(sim.nodes, plan.NodeSpec{Name: node, Domains: []string{leaf}, Free: []int64{0}})
		occupants = append(occupants, plan.Occupant{Name: name, Cost: []int64{cost}, Uses: []plan.Usage{{Node: node, Resources: []int64{cpu}}}})
	}
	occupy("large", "a", "a0", 4, 12)
	occupy("small", "a", "a1", 1, 4)
	for i := range 16 {
		occupy(fmt.Sprintf("b%d", i), "b", fmt.Sprintf("b%d", i), 1, 10)
	}
	const key = 2 + 2 // the index of b2
	occupants[key].Uses[0].Resources[0], occupants[key].Cost[0] = 0, 1
	gang := plan.Gang{Name: "g", Required: "leaf", Roles: []plan.Role{
		{Name: "r", Members: []plan.Member{{Name: "m"}}, Need: plan.Need{Resources: []int64{1}}},
	}}
	fits := func(gone []int, _ int, node string, _ int) bool {
		return node[0] == 'b' || node == "a1" && slices.Contains(gone, key)
	}

	c := plan.Clear(sim.snapshot(), gang, occupants, fits, plan.Options{})
	if !c.Decision.Placed || len(c.Victims) != 1 {
		t.Fatalf("victims %v, placed %v: %s", c.Victims, c.Decision.Placed, c.Decision.Why())
	}
	if c.Proven || c.Least {
		t.Errorf("victims of cost %v are said to be the cheapest, but small and b2 cost less", c.Cost)
	}
}

// blocked is a cluster of two leaves with more victims than the exact search of one leaf lists.
// Some nodes accept members only while a certain victim, of any leaf, is gone.
type blocked struct {
	*simulation
	occupants []plan.Occupant
	// blocks has the indices of these victims, by node.
	blocks map[string]int
}

func drawBlocked(d dice) *blocked {
	w := &blocked{simulation: &simulation{layout: plan.Layout{Levels: []plan.Level{{Name: "leaf"}}, Resources: []string{"cpu"}}}, blocks: map[string]int{}}
	for i := range 17 + d.roll(4) {
		node := fmt.Sprintf("n%d", i)
		w.nodes = append(w.nodes, plan.NodeSpec{Name: node, Domains: []string{[]string{"a", "b"}[min(i/(2+d.roll(3)), 1)]}, Free: []int64{0}})
		w.occupants = append(w.occupants, plan.Occupant{
			Name: fmt.Sprintf("o%d", i), Cost: []int64{int64(1 + d.roll(12))}, Uses: []plan.Usage{{Node: node, Resources: []int64{int64(d.roll(5))}}},
		})
	}
	for _, n := range w.nodes {
		if often(d, 5) {
			w.blocks[n.Name] = d.roll(len(w.occupants))
		}
	}
	w.gang = plan.Gang{Name: "g", Required: "leaf", Roles: []plan.Role{{Name: "r", Need: plan.Need{Resources: []int64{int64(1 + d.roll(2))}}}}}
	for i := range 1 + d.roll(2) {
		w.gang.Roles[0].Members = append(w.gang.Roles[0].Members, plan.Member{Name: fmt.Sprintf("m%d", i)})
	}
	return w
}

func (w *blocked) fits(gone []int, _ int, node string, _ int) bool {
	k, blocks := w.blocks[node]
	return !blocks || slices.Contains(gone, k)
}

// holds reports whether a leaf holds the gang once these victims are gone.
func (w *blocked) holds(gone []int) bool {
	slots := map[string]int64{}
	for _, k := range gone {
		if u := w.occupants[k].Uses[0]; w.fits(gone, 0, u.Node, 0) {
			slots[w.nodes[k].Domains[0]] += u.Resources[0] / w.gang.Roles[0].Need.Resources[0]
		}
	}
	return max(slots["a"], slots["b"]) >= int64(len(w.gang.Roles[0].Members))
}

// cheaper returns up to three victims whose costs sum up to less than cost and without which a
// leaf holds the gang, or nil if there are none.
func (w *blocked) cheaper(cost int64) []int {
	n := len(w.occupants)
	for i := range n * n * n {
		gone := []int{i / n / n, i / n % n, i % n}
		slices.Sort(gone)
		gone = slices.Compact(gone)
		sum := int64(0)
		for _, k := range gone {
			sum += w.occupants[k].Cost[0]
		}
		if sum < cost && w.holds(gone) {
			return gone
		}
	}
	return nil
}

// TestClearProvenBesideFilters compares the victims that Clear says are the cheapest with all
// sets of up to three victims, where filters depend on victims in other leaves.
func TestClearProvenBesideFilters(t *testing.T) {
	proven, unproven := 0, 0
	for i := range 1500 {
		w := drawBlocked(seeded(*seed+31, uint64(i)))
		c := plan.Clear(w.snapshot(), w.gang, w.occupants, w.fits, plan.Options{})
		if !c.Decision.Placed {
			continue
		}
		if !w.holds(c.Victims) {
			t.Fatalf("cluster %d of seed %d: the gang does not fit without %v: %v, %v", i, *seed, c.Victims, w.occupants, w.blocks)
		}
		better := w.cheaper(c.Cost[2])
		switch {
		case !c.Proven:
			unproven++
		case better != nil:
			t.Fatalf("cluster %d of seed %d: victims %v of cost %d are said to be the cheapest, but %v cost less: %v, %v",
				i, *seed, c.Victims, c.Cost[2], better, w.occupants, w.blocks)
		default:
			proven++
		}
	}
	t.Logf("%d clearings are proven, %d are not", proven, unproven)
	if proven < 100 || unproven < 10 {
		t.Errorf("the clusters show too little")
	}
}
