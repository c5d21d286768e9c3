// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/devices"
)

// priceOf returns the cost of a choice of units. It computes each term from the
// documentation of Pair and uses none of its code.
func priceOf(units []devices.Supply, want devices.Demand, takes []devices.Taken) []int {
	share := 1
	if want.GPUs > 0 {
		share = max(1, (want.NICs+want.GPUs-1)/want.GPUs)
	}
	unpaired, offRail, pairsLeft, unitsKept := 0, 0, 0, 0
	type sums struct{ gpus, nics, left, touched int }
	byNUMA := map[int]*sums{}
	for i, take := range takes {
		unit := units[i]
		group := unit.NUMA
		if group < 0 {
			group = -1 - i
		}
		if byNUMA[group] == nil {
			byNUMA[group] = &sums{}
		}
		here := byNUMA[group]
		here.gpus, here.nics = here.gpus+take.GPUs, here.nics+take.NICs
		left := unit.FreeGPUs - take.GPUs
		here.left += left
		unitsKept += left * left
		if take.GPUs+take.NICs > 0 {
			here.touched = 1
			if len(want.Rails) > 0 && !slices.Contains(want.Rails, i) {
				offRail++
			}
		}
		beside := 0
		for nic := range take.NICs {
			if !unit.Loose && nic < take.GPUs*share {
				beside++
			}
		}
		unpaired += take.NICs - beside
		if !unit.Loose {
			perGPU := 1
			if unit.AllGPUs > 0 {
				perGPU = max(1, unit.AllNICs/unit.AllGPUs)
			}
			pairsLeft += min(left, (unit.FreeNICs-take.NICs)/perGPU)
		}
	}
	crossing, nodes, nodesKept := 0, 0, 0
	for group, here := range byNUMA {
		nodesKept += here.left * here.left
		if group >= 0 {
			crossing += max(0, here.nics-here.gpus*share)
			nodes += here.touched
		}
	}
	return []int{unpaired, crossing, nodes, offRail, -pairsLeft, -unitsKept, -nodesKept}
}

// cheapest returns the lowest cost over all choices.
func cheapest(units []devices.Supply, want devices.Demand) []int {
	var best []int
	takes := make([]devices.Taken, len(units))
	var try func(unit, gpus, nics int)
	try = func(unit, gpus, nics int) {
		if unit == len(units) {
			if gpus > 0 || nics > 0 {
				return
			}
			if price := priceOf(units, want, takes); best == nil || slices.Compare(price, best) < 0 {
				best = price
			}
			return
		}
		for g := range min(gpus, units[unit].FreeGPUs) + 1 {
			for n := range min(nics, units[unit].FreeNICs) + 1 {
				takes[unit] = devices.Taken{GPUs: g, NICs: n}
				try(unit+1, gpus-g, nics-n)
			}
		}
		takes[unit] = devices.Taken{}
	}
	try(0, want.GPUs, want.NICs)
	return best
}

// randomNode returns a node of up to five units with random numbers of free devices, and a
// random demand.
func randomNode(random *rand.Rand) ([]devices.Supply, devices.Demand) {
	units := make([]devices.Supply, 1+random.IntN(5))
	for i := range units {
		units[i] = devices.Supply{AllGPUs: random.IntN(3), AllNICs: random.IntN(4), NUMA: random.IntN(3) - 1}
		units[i].FreeGPUs, units[i].FreeNICs = random.IntN(units[i].AllGPUs+1), random.IntN(units[i].AllNICs+1)
	}
	last := &units[len(units)-1]
	if last.Loose = random.IntN(2) == 0; last.Loose {
		last.NUMA = -1
	}
	want := devices.Demand{GPUs: random.IntN(5), NICs: random.IntN(6)}
	for i := range units {
		if random.IntN(4) == 0 {
			want.Rails = append(want.Rails, i)
		}
	}
	return units, want
}

func TestPairAgainstBruteForce(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	possible := 0
	for round := range 4000 {
		units, want := randomNode(random)
		pairing, ok := devices.Pair(units, want)
		best := cheapest(units, want)
		if ok != (best != nil) {
			t.Fatalf("round %d: possible %t, want %t\n%+v\n%+v", round, ok, best != nil, units, want)
		}
		if !ok {
			continue
		}
		possible++
		checkTakes(t, units, want, pairing)
		got := priceOf(units, want, pairing.Takes)
		if diff := cmp.Diff(best, got); diff != "" {
			t.Fatalf("round %d: price (-best,+got):\n%s\n%+v\n%+v\n%+v", round, diff, units, want, pairing)
		}
		if pairing.Unpaired != got[0] || pairing.Crossing != got[1] {
			t.Fatalf("round %d: reports %d unpaired and %d crossing, is %d and %d", round, pairing.Unpaired, pairing.Crossing, got[0], got[1])
		}
	}
	if possible < 1000 {
		t.Errorf("only %d of 4000 nodes could serve their pod: too few to tell anything", possible)
	}
}

func checkTakes(t *testing.T, units []devices.Supply, want devices.Demand, pairing devices.Pairing) {
	t.Helper()
	var sum devices.Taken
	for i, take := range pairing.Takes {
		sum.GPUs, sum.NICs = sum.GPUs+take.GPUs, sum.NICs+take.NICs
		if take.GPUs > units[i].FreeGPUs || take.NICs > units[i].FreeNICs {
			t.Fatalf("unit %d does not have what is taken: %+v of %+v", i, take, units[i])
		}
	}
	if sum != (devices.Taken{GPUs: want.GPUs, NICs: want.NICs}) {
		t.Fatalf("takes %+v, want %+v", sum, want)
	}
}

// On a real machine the terms apply in their documented order.
func TestPairOnNDH100v5(t *testing.T) {
	// GPUs of units 1 and 4 have lost their NICs, unit 0 its GPU.
	units := make([]devices.Supply, 9)
	for i := range 8 {
		units[i] = devices.Supply{FreeGPUs: 1, FreeNICs: 1, AllGPUs: 1, AllNICs: 1, NUMA: i / 4}
	}
	units[1].FreeNICs, units[4].FreeNICs, units[0].FreeGPUs = 0, 0, 0
	units[8] = devices.Supply{NUMA: -1, Loose: true}
	tests := map[string]struct {
		want  devices.Demand
		units []int
	}{
		"a GPU alone takes one whose NIC is gone":        {devices.Demand{GPUs: 1}, []int{1}},
		"two GPUs alone stay on one NUMA node":           {devices.Demand{GPUs: 2}, []int{1, 2}},
		"a NIC alone takes one whose GPU is gone":        {devices.Demand{NICs: 1}, []int{0}},
		"a pair comes from the NUMA node with less left": {devices.Demand{GPUs: 1, NICs: 1}, []int{2}},
		"two pairs leave the other NUMA node whole":      {devices.Demand{GPUs: 2, NICs: 2}, []int{2, 3}},
		"three pairs take the NUMA node that has them":   {devices.Demand{GPUs: 3, NICs: 3}, []int{5, 6, 7}},
		"a pair on the rail of the others":               {devices.Demand{GPUs: 1, NICs: 1, Rails: []int{6}}, []int{6}},
		"rails do not split a pair":                      {devices.Demand{GPUs: 1, NICs: 1, Rails: []int{1}}, []int{2}},
		"rails do not spread a pod over two NUMA nodes":  {devices.Demand{GPUs: 2, NICs: 2, Rails: []int{3, 5}}, []int{2, 3}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pairing, ok := devices.Pair(units, test.want)
			if !ok {
				t.Fatal("impossible")
			}
			var got []int
			for i, take := range pairing.Takes {
				if take != (devices.Taken{}) {
					got = append(got, i)
				}
			}
			if diff := cmp.Diff(test.units, got); diff != "" {
				t.Errorf("units (-want,+got):\n%s", diff)
			}
		})
	}
}

func BenchmarkPair(b *testing.B) {
	p5 := make([]devices.Supply, 9)
	for i := range 8 {
		p5[i] = devices.Supply{FreeGPUs: 1, FreeNICs: 4, AllGPUs: 1, AllNICs: 4, NUMA: i / 4}
	}
	p5[8] = devices.Supply{NUMA: -1, Loose: true}
	for name, want := range map[string]devices.Demand{"p5/1gpu+4nic": {GPUs: 1, NICs: 4}, "p5/8gpu+32nic": {GPUs: 8, NICs: 32}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if pairing, ok := devices.Pair(p5, want); !ok || pairing.Unpaired != 0 {
					b.Fatalf("not paired: %+v", pairing)
				}
			}
		})
	}
}
