// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// TestReferenceSupply compares the planner with the reference on clusters of equal nodes
// that only pools and node limits tell apart.
func TestReferenceSupply(t *testing.T) {
	placed := 0
	for i := range *simulations {
		sim := drawSupplied(seeded(*seed+7, uint64(i)))
		d, err := compare(sim)
		if err != nil {
			t.Fatalf("simulation %d of seed %d: %v\n%s", i, *seed+7, err, sim)
		}
		if d.Placed {
			placed++
		}
	}
	t.Logf("%d simulations of seed %d: %d placed, %d impossible, answer and cost equal to the reference in all",
		*simulations, *seed+7, placed, *simulations-placed)
}

func drawSupplied(d dice) *simulation {
	sim := &simulation{layout: plan.Layout{Resources: []string{"pods"}}}
	levels := d.roll(2)
	for k := range levels {
		sim.layout.Levels = append(sim.layout.Levels, plan.Level{Name: fmt.Sprintf("level%d", k)})
	}
	room := int64(1 + d.roll(4))
	for i := range 3 + d.roll(3) {
		n := plan.NodeSpec{Name: fmt.Sprintf("n%d", i), Free: []int64{room}}
		for range levels {
			n.Domains = append(n.Domains, fmt.Sprintf("a%d", i/2))
		}
		sim.nodes = append(sim.nodes, n)
	}
	g := &sim.gang
	g.Name = "t/gang"
	if levels > 0 && often(d, 4) {
		g.Required = sim.layout.Levels[0].Name
	}
	left := maxMembers - 1
	for i := range 1 + d.roll(3) {
		r := plan.Role{Name: fmt.Sprintf("r%d", i), Need: plan.Need{Resources: []int64{1}}}
		for k := range 1 + d.roll(2) {
			if left--; left < 0 {
				break
			}
			m := plan.Member{Name: fmt.Sprintf("m%d", k)}
			if d.roll(12) == 0 {
				m.Node = sim.nodes[d.roll(len(sim.nodes))].Name
			}
			r.Members = append(r.Members, m)
		}
		if len(r.Members) > 0 {
			g.Roles = append(g.Roles, r)
		}
	}
	if often(d, 6) {
		g.Pools = append(g.Pools, drawPool(d, sim, 0))
	}
	if len(g.Pools) == 0 || often(d, 4) {
		g.NodeLimits = append(g.NodeLimits, drawNodeLimit(d, sim, 0))
	}
	sim.caps = make([]map[string]int, len(g.Roles))
	return sim
}
