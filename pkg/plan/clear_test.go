// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

var clearings = flag.Int("clearings", 1500, "number of random clusters with occupants in which Clear is compared with its reference")

// maxOccupants limits the work of the reference of Clear.
const maxOccupants = 8

// clearCounts counts the outcomes of Clear.
type clearCounts struct{ asIs, cleared, several, refused, proven, least, refusals atomic.Int64 }

// TestClearReference compares Clear with its reference on many small clusters.
func TestClearReference(t *testing.T) {
	var counts clearCounts
	var next atomic.Int64
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(*clearings) && !t.Failed(); i = next.Add(1) - 1 {
				w := drawOccupied(seeded(*seed+20, uint64(i)), maxOccupants)
				if err := w.compare(&counts); err != nil {
					t.Errorf("cluster %d of seed %d: %v\n%s", i, *seed, err, w)
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d clusters of seed %d: %d have room as they are or without the occupants that leave already, %d are cleared, %d of them of three victims or more, %d are refused; "+
		"%d proven, %d also with the cheapest placement; the filters refused in %d; feasibility and cost equal to the reference in all",
		*clearings, *seed, counts.asIs.Load(), counts.cleared.Load(), counts.several.Load(), counts.refused.Load(), counts.proven.Load(), counts.least.Load(), counts.refusals.Load())
}

// compare returns an error if Clear and the reference differ.
func (w *occupied) compare(counts *clearCounts) error {
	calls, refused := map[string]int{}, false
	fits := func(gone []int, role int, node string, already int) bool {
		calls[fmt.Sprint(gone, role, node, already)]++
		ok := w.fits(gone, role, node, already)
		refused = refused || !ok
		return ok
	}
	c := plan.Clear(w.without(nil).snapshot(), w.empty.gang, w.occupants, fits, plan.Options{ClearBudget: largeClearBudget})
	for q, n := range calls {
		if n > 1 {
			return fmt.Errorf("the filters were called %d times with %s", n, q)
		}
	}
	want := w.solve()
	if c.Decision.Placed != want.placed {
		return fmt.Errorf("placed is %v, the reference's cost is %v: %s", c.Decision.Placed, want, c.Decision.Why())
	}
	if !c.Proven || !c.Least {
		return fmt.Errorf("proven is %v, least %v", c.Proven, c.Least)
	}
	counts.add(&c, refused)
	if !c.Decision.Placed {
		return nil
	}
	if !slices.Equal(c.Cost, want.victims) || !slices.Equal(w.cost(c.Victims), want.victims) {
		return fmt.Errorf("victims %v cost %v, the reference's %v", c.Victims, c.Cost, want.victims)
	}
	var got []int64
	for _, term := range c.Decision.Cost {
		got = append(got, term.Value)
	}
	if !slices.Equal(got, want.plan) {
		return fmt.Errorf("without %v, the placement costs %v, the reference's %v", c.Victims, got, want.plan)
	}
	return w.validate(&c)
}

// validate checks the placement, and that the victims may leave.
func (w *occupied) validate(c *plan.Clearing) error {
	if !w.allowed(c.Victims) {
		return fmt.Errorf("victims %v must leave after others", c.Victims)
	}
	gone := append(w.leaving(), c.Victims...)
	err := w.without(gone).validate(&c.Decision)
	if err != nil && len(c.Victims) == 0 {
		err = w.without(nil).validate(&c.Decision)
	}
	return err
}

func (n *clearCounts) add(c *plan.Clearing, refused bool) {
	switch {
	case !c.Decision.Placed:
		n.refused.Add(1)
	case len(c.Victims) == 0:
		n.asIs.Add(1)
	default:
		n.cleared.Add(1)
		if len(c.Victims) >= 3 {
			n.several.Add(1)
		}
	}
	if c.Proven {
		n.proven.Add(1)
	}
	if c.Least {
		n.least.Add(1)
	}
	if refused {
		n.refusals.Add(1)
	}
}

// TestClearOrderOfInput permutes occupants, nodes, roles, groups and members. The answer must
// not change.
func TestClearOrderOfInput(t *testing.T) {
	for i := range 300 {
		w := drawOccupied(seeded(*seed+21, uint64(i)), 2*maxOccupants)
		want := plan.Clear(w.without(nil).snapshot(), w.empty.gang, w.occupants, w.fits, plan.Options{})
		rng := rand.New(rand.NewPCG(*seed, uint64(i)))
		p, perm := w.permuted(rng)
		got := plan.Clear(p.without(nil).snapshot(), p.empty.gang, p.occupants, p.fits, plan.Options{})
		for k, at := range want.Victims {
			want.Victims[k] = perm[at]
		}
		for k, at := range want.Awaited {
			want.Awaited[k] = perm[at]
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(plan.Stats{}, "NodesTouched")); diff != "" {
			t.Fatalf("cluster %d: (-want,+got)\n%s\n%s", i, diff, w)
		}
	}
}

// permuted returns the same cluster with all lists in another order, and the new index of
// each occupant.
func (w *occupied) permuted(rng *rand.Rand) (*occupied, []int) {
	list, perm := shuffledOccupants(rng, w.occupants)
	p := &occupied{empty: w.empty.permuted(rng), occupants: list, blocks: map[int]string{}}
	for k, node := range w.blocks {
		p.blocks[perm[k]] = node
	}
	return p, perm
}

// FuzzClear compares Clear with its reference on clusters built from the fuzzer's bytes.
func FuzzClear(f *testing.F) {
	addSeeds(f, *seed+22, 300)
	f.Fuzz(func(t *testing.T, data []byte) {
		w := drawOccupied(&byteDice{data}, 6)
		if err := w.compare(&clearCounts{}); err != nil {
			t.Fatalf("%v\n%s", err, w)
		}
	})
}
