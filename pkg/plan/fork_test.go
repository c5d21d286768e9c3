// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

var histories = flag.Int("histories", 300, "number of random histories of forks compared with states built anew")

// branchOff is a State in a history of forks, and the simulation that it must equal.
type branchOff struct {
	sim *simulation
	st  *plan.State
}

func (b *branchOff) fork() *branchOff {
	sim := *b.sim
	sim.nodes = slices.Clone(b.sim.nodes)
	return &branchOff{&sim, b.st.Fork()}
}

// TestFork changes forks, forks of forks and their originals at random. Plans and scores on
// each must be those of a state that is built from the same nodes.
func TestFork(t *testing.T) {
	forks := 0
	for i := range *histories {
		d := seeded(*seed+11, uint64(i))
		sim := draw(d)
		st, err := plan.NewState(sim.layout)
		if err != nil {
			t.Fatal(err)
		}
		sim.change(d, st)
		all := []*branchOff{{sim, st}}
		for step := range 16 {
			at := d.roll(len(all))
			if often(d, 4) {
				all = append(all, all[at].fork())
				forks++
				at = len(all) - 1
			}
			if often(d, 7) {
				all[at].sim.changeSome(d, all[at].st)
			}
			other := d.roll(len(all))
			for _, k := range []int{at, other} {
				all[k].sim.check(t, fmt.Sprintf("history %d step %d state %d", i, step, k), all[k].st.Freeze())
			}
			if got, want := all[at].st.Len(), all[at].sim.snapshot().Len(); got != want {
				t.Fatalf("history %d: %d nodes instead of %d", i, got, want)
			}
		}
	}
	t.Logf("%d histories of seed %d with %d forks", *histories, *seed, forks)
}

// changeSome updates nodes, and only sometimes adds or removes them.
func (sim *simulation) changeSome(d dice, st *plan.State) {
	if often(d, 3) {
		sim.change(d, st)
		return
	}
	for i := range sim.nodes {
		if often(d, 5) {
			sim.nodes[i].Free = []int64{int64(d.roll(5)), int64(d.roll(8))}
			sim.nodes[i].Unschedulable = d.roll(10) == 0
		}
		if err := st.Upsert(sim.nodes[i]); err != nil {
			panic(err)
		}
	}
	st.Remove("unknown")
}

// TestConcurrentForks forks one snapshot in several goroutines while the State changes; run
// it with -race.
func TestConcurrentForks(t *testing.T) {
	d := seeded(*seed+12, 1)
	sim := draw(d)
	st, err := plan.NewState(sim.layout)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		sim.change(d, st)
		s, frozen := st.Freeze(), &branchOff{sim, nil}
		var wg sync.WaitGroup
		for worker := range 4 {
			copied := *frozen.sim
			copied.nodes = slices.Clone(frozen.sim.nodes)
			wg.Go(func() {
				fork := s.Fork()
				copied.changeSome(seeded(*seed+13, uint64(round*4+worker)), fork)
				want := plan.Plan(copied.snapshot(), copied.gang, copied.fits, plan.Options{})
				got := plan.Plan(fork.Freeze(), copied.gang, copied.fits, plan.Options{})
				if diff := cmp.Diff(want, got, ignoreWork); diff != "" {
					t.Errorf("(-want,+got)\n%s", diff)
				}
			})
		}
		sim.change(d, st)
		wg.Wait()
	}
}
