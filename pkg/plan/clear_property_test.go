// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// largeClearBudget lets Clear compare all sets of few victims.
const largeClearBudget = 1 << 24

func (w *occupied) clear(o plan.Options) plan.Clearing {
	return plan.Clear(w.without(nil).snapshot(), w.empty.gang, w.occupants, w.fits, o)
}

// TestClearEvictsNobodyInVain puts each victim back alone. The gang must then have no
// placement. Small step budgets end the search early; what it found must be as necessary.
func TestClearEvictsNobodyInVain(t *testing.T) {
	victims, unproven := 0, 0
	for i := range 800 {
		w := drawOccupied(seeded(*seed+23, uint64(i)), 24)
		c := w.clear(plan.Options{ClearBudget: []int{1, 1 << 9, 1 << 11, 1 << 14}[i%4]})
		if !c.Decision.Placed || len(c.Victims) == 0 {
			continue
		}
		if !c.Proven {
			unproven++
		}
		if err := w.validate(&c); err != nil {
			t.Fatalf("cluster %d: %v\n%s", i, err, w)
		}
		for _, k := range c.Victims {
			others := slices.DeleteFunc(slices.Clone(c.Victims), func(other int) bool { return other == k })
			if !w.allowed(others) {
				continue
			}
			victims++
			if w.without(append(w.leaving(), others...)).solve() != nil {
				t.Fatalf("cluster %d: of %v, victim %d may stay\n%s", i, c.Victims, k, w)
			}
		}
	}
	t.Logf("%d victims are necessary; %d clearings were not proven", victims, unproven)
	if victims < 300 || unproven < 30 {
		t.Errorf("the clusters show too little")
	}
}

// TestClearIsMonotone lets one of the occupants leave by itself. If the gang had a placement, it
// must still have one, and its victims must cost no more.
func TestClearIsMonotone(t *testing.T) {
	cleared := 0
	for i := range 700 {
		d := seeded(*seed+24, uint64(i))
		w := drawOccupied(d, maxOccupants)
		if len(w.occupants) == 0 {
			continue
		}
		options := plan.Options{ClearBudget: largeClearBudget}
		before := w.clear(options)
		if !before.Decision.Placed {
			continue
		}
		w.occupants[d.roll(len(w.occupants))].Leaving = true
		after := w.clear(options)
		if !after.Decision.Placed {
			t.Fatalf("cluster %d: no placement once an occupant leaves\n%s", i, w)
		}
		if len(before.Victims) > 0 {
			cleared++
		}
		if len(after.Victims) > 0 && slices.Compare(after.Cost, before.Cost) > 0 {
			t.Fatalf("cluster %d: cost is %v, then %v once an occupant leaves\n%s", i, before.Cost, after.Cost, w)
		}
	}
	t.Logf("%d clearings cost no more once an occupant leaves", cleared)
}

// TestClearBadRequests returns the fault of a request, and evicts nobody.
func TestClearBadRequests(t *testing.T) {
	sim := &simulation{layout: plan.Layout{Resources: []string{"cpu"}}, nodes: []plan.NodeSpec{{Name: "n"}}}
	gang := plan.Gang{Name: "g", Roles: []plan.Role{{Name: "r", Members: []plan.Member{{Name: "m"}}, Need: plan.Need{Resources: []int64{1}}}}}
	occupants := []plan.Occupant{{Name: "a", Uses: []plan.Usage{{Node: "n", Resources: []int64{1}}}}}
	for name, c := range map[string]plan.Clearing{
		"occupants": plan.Clear(sim.snapshot(), gang, append(occupants, occupants...), nil, plan.Options{}),
		"gang":      plan.Clear(sim.snapshot(), plan.Gang{Name: "g"}, occupants, nil, plan.Options{}),
	} {
		if c.Decision.Placed || len(c.Victims) > 0 || !c.Proven || c.Decision.Reasons[0].Kind != plan.BadRequest {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if c := plan.Clear(sim.snapshot(), gang, occupants, nil, plan.Options{}); !c.Decision.Placed || len(c.Victims) != 1 {
		t.Errorf("a good request: %+v", c)
	}
}
