// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// fleets is the number of random fleets in TestClearFleets.
const fleets = 200

// TestClearFleets clears room in random full fleets of 96 nodes. In at least nine of ten, the
// victims must be proven to be the cheapest.
func TestClearFleets(t *testing.T) {
	proven, cleared := 0, 0
	var took []time.Duration
	for i := range uint64(fleets) {
		f, gang := newBusy(t, 96, 1000+i), fleetGang(rand.New(rand.NewPCG(i, 2)))
		start := time.Now()
		c := plan.Clear(f.snapshot, gang, f.occupants, nil, plan.Options{})
		took = append(took, time.Since(start))
		if len(c.Victims) > 0 {
			cleared++
		}
		if len(c.Victims) > 0 && c.Proven {
			proven++
		}
		t.Logf("fleet %d: %d members of %d GPUs, %d occupants, %d victims, cost %v, proven %v, %+v, %v", i, len(gang.Roles[0].Members),
			gang.Roles[0].Need.Devices[0].Count, len(f.occupants), len(c.Victims), c.Cost, c.Proven, c.Stats, took[i])
	}
	if proven*10 < cleared*9 {
		t.Errorf("only %d of %d proven", proven, cleared)
	}
	slices.Sort(took)
	t.Logf("%d of %d proven; p50 %v, p99 %v", proven, cleared, took[fleets/2], took[fleets*99/100])
}

// fleetGang returns a gang for 2 to 24 nodes, or for less.
func fleetGang(rng *rand.Rand) plan.Gang {
	g := gangOf(2+rng.IntN(23), 1)
	g.Roles[0].Need = pairNeed([]int{1, 2, 4, 8, 8}[rng.IntN(5)])
	switch rng.IntN(4) {
	case 0:
		g.Preferred = levelNames[0]
	case 1:
		if len(g.Roles[0].Members) <= 12 {
			g.Required = levelNames[0]
		}
	}
	return g
}
