// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// busy is a fleet without a free device: on each node, four pods have two pairs each. The
// pods belong to gangs of different sizes, most of them on consecutive nodes.
type busy struct {
	fleet
	snapshot  *plan.Snapshot
	occupants []plan.Occupant
	pods      int
}

// podsPerNode pods use the eight pairs of a node.
const podsPerNode = 4

// gangPods are the sizes of the gangs that run. Half of the gangs are single pods.
var gangPods = []int{1, 1, 1, 1, 1, 1, 2, 2, 4, 4, 8, 16, 32}

// newBusy fills a fleet. A third of the gangs has members beyond its minimum. The pods of
// one gang in ten have too high a priority to leave.
func newBusy(tb testing.TB, nodes int, seed uint64) *busy {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := &busy{fleet: fleet{nodes, 3, true}}
	specs := b.specs()
	for i := range specs {
		specs[i].Free, specs[i].Units = []int64{64000, 1600 << 30, 106}, units[false]
	}
	b.snapshot = build(tb, b.layout(), specs).Freeze()
	slots := make([]int, nodes*podsPerNode)
	for i := range slots {
		slots[i] = i
	}
	for range len(slots) / 10 { // some gangs are scattered
		x, y := rng.IntN(len(slots)), rng.IntN(len(slots))
		slots[x], slots[y] = slots[y], slots[x]
	}
	for g := 0; len(slots) > 0; g++ {
		n := min(gangPods[rng.IntN(len(gangPods))], len(slots))
		b.addGang(rng, fmt.Sprintf("gang-%d", g), slots[:n])
		slots = slots[n:]
	}
	return b
}

func (b *busy) addGang(rng *rand.Rand, name string, slots []int) {
	b.pods += len(slots)
	priority, minutes := int64(100*rng.IntN(3)), int64(1+rng.IntN(600))
	if rng.IntN(10) == 0 {
		return
	}
	least := len(slots)
	if len(slots) > 1 && rng.IntN(3) == 0 {
		least -= 1 + rng.IntN(len(slots)/2)
	}
	var surplus []string
	for _, slot := range slots[least:] {
		o := plan.Occupant{
			Name: fmt.Sprintf("%s/%d", name, slot), Priority: priority, Cost: []int64{0, minutes * 4, 1, 1},
			Uses: []plan.Usage{pairs(slot)},
		}
		surplus = append(surplus, o.Name)
		b.occupants = append(b.occupants, o)
	}
	all := plan.Occupant{
		Name: name, Priority: priority, After: surplus,
		Cost: []int64{1, minutes * 4 * int64(least), 1, int64(least)},
	}
	for _, slot := range slots[:least] {
		all.Uses = append(all.Uses, pairs(slot))
	}
	b.occupants = append(b.occupants, all)
}

// pairs is what the pod in a slot uses: two pairs of its node.
func pairs(slot int) plan.Usage {
	u := plan.Usage{Node: fmt.Sprintf("node-%06d", slot/podsPerNode), Resources: []int64{8000, 64 << 30, 1}}
	for i := range 8 {
		n := 0
		if i/2 == slot%podsPerNode {
			n = 1
		}
		u.Units = append(u.Units, plan.Unit{Free: []int{n, n}})
	}
	return u
}

// clearingGang returns one of many different gangs of 100 members.
func clearingGang(i int) plan.Gang {
	g := gangOf(100, 1+3*(i/4%2))
	for r := range g.Roles {
		if g.Roles[r].Name == "worker" {
			g.Roles[r].Need = pairNeed([]int{1, 2, 4, 8}[i%4])
		}
	}
	switch i / 8 % 4 {
	case 1:
		g.Required = "spine"
	case 2:
		g.Preferred = "leaf"
	case 3:
		if i%4 < 2 {
			g.Required = "leaf"
		}
	}
	return g
}

// BenchmarkClear clears room for gangs of 100 on 5,000 full nodes with 20,000 pods.
func BenchmarkClear(b *testing.B) {
	b.Run("nodes=5000/pods=20000/gang=100", func(b *testing.B) { clearGangs(b, clearingGang, true) })
	b.Run("nodes=5000/pods=20000/gang=100/no", func(b *testing.B) {
		clearGangs(b, func(i int) plan.Gang {
			g := clearingGang(i)
			g.Required = levelNames[0]
			for r := range g.Roles {
				g.Roles[r].Need = pairNeed(8)
			}
			return g
		}, false)
	})
}

func clearGangs(b *testing.B, gang func(i int) plan.Gang, placed bool) {
	var fleets []*busy
	for seed := range uint64(3) {
		fleets = append(fleets, newBusy(b, 5000, seed))
	}
	var took []time.Duration
	var proven, plans, fits, victims, n float64
	b.ReportAllocs()
	for b.Loop() {
		i := len(took)
		f := fleets[i%len(fleets)]
		accept := func([]int, int, string, int) bool { return true }
		start := time.Now()
		c := plan.Clear(f.snapshot, gang(i/len(fleets)), f.occupants, accept, plan.Options{})
		took = append(took, time.Since(start))
		if c.Decision.Placed != placed {
			b.Fatalf("gang %d: placed is %v: %s", i, c.Decision.Placed, c.Decision.Why())
		}
		if c.Proven {
			proven++
		}
		plans, fits, victims, n = plans+float64(c.Stats.Plans), fits+float64(c.Stats.FitsCalls), victims+float64(len(c.Victims)), n+1
		if testing.Verbose() {
			fmt.Printf("%d %v %+v victims %d proven %v occupants %d cost %v\n", i, took[len(took)-1], c.Stats, len(c.Victims), c.Proven, len(f.occupants), c.Cost)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(plans/n, "plans/op")
	b.ReportMetric(fits/n, "fits/op")
	b.ReportMetric(victims/n, "victims/op")
	b.ReportMetric(proven/n, "proven/op")
}
