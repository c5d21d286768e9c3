// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPairChecks runs every check of pairs on an observation for which it must pass and on
// observations for which it must fail.
func TestPairChecks(t *testing.T) {
	for name, test := range map[string]checkCase{
		"whole nodes": {
			arrange: func(seen *observation) { seen.gangOf(evaluate, nodesOf(1, 1, 1, 2)...) },
			check:   paired(evaluate), want: "by the hardware's data all 16 pairs of its 2 workers are true",
		},
		"NICs beside the GPUs that are left": {
			arrange: func(seen *observation) {
				seen.holder(notebooks, []int{0, 1}, nil)
				seen.holder(evaluate, []int{2, 3}, []int{2, 3})
			},
			check: paired(evaluate), want: "by the hardware's data all 2 pairs of its 1 workers are true",
		},
		"the first free of each": {
			arrange: func(seen *observation) {
				seen.holder(notebooks, []int{0, 1}, nil)
				seen.holder(evaluate, []int{2, 3}, []int{0, 1})
			},
			check: paired(evaluate),
			want:  "pod evaluate-1 on ndh100v5-s1-l1-n1 has 0 true pairs of 2: gpu-2 and pci-0101-00-00-0, no pair", fail: true,
		},
		"two workers with each other's NIC": {
			arrange: func(seen *observation) {
				seen.holder(evaluate, []int{0, 1}, []int{0, 2})
				seen.holder(evaluate, []int{2, 3}, []int{1, 3})
			},
			check: paired(evaluate),
			want:  "pod evaluate-0 on ndh100v5-s1-l1-n1 has 1 true pairs of 2: gpu-1 and pci-0103-00-00-0, no pair", fail: true,
		},
		"a NIC too many": {
			arrange: func(seen *observation) { seen.holder(evaluate, []int{4}, []int{4, 5}) },
			check:   paired(evaluate),
			want:    "pod evaluate-0 on ndh100v5-s1-l1-n1 has 1 true pairs of 2: pci-0106-00-00-0 without a GPU", fail: true,
		},
		"a GPU too many": {
			arrange: func(seen *observation) { seen.holder(evaluate, []int{4, 5}, []int{4}) },
			check:   paired(evaluate),
			want:    "pod evaluate-0 on ndh100v5-s1-l1-n1 has 1 true pairs of 2: gpu-5", fail: true,
		},
		"the NIC of that place in another node": {
			arrange: func(seen *observation) {
				seen.holder(evaluate, []int{4}, []int{4})
				results(seen.claims["evaluate-0"])[1].Pool = seen.nodes[1].Name
			},
			check: paired(evaluate),
			want:  "pod evaluate-0 on ndh100v5-s1-l1-n1 has 0 true pairs of 1: gpu-4 and pci-0105-00-00-0, no pair", fail: true,
		},
		"a device that the hardware does not have": {
			arrange: func(seen *observation) {
				seen.holder(evaluate, []int{4}, []int{4})
				results(seen.claims["evaluate-0"])[1].Device = "pci-ffff-00-00-0"
			},
			check: paired(evaluate),
			want:  "pod evaluate-0 on ndh100v5-s1-l1-n1 has 0 true pairs of 1: gpu-4 and pci-ffff-00-00-0, no pair", fail: true,
		},
		"a worker without devices": {
			arrange: func(seen *observation) { seen.gangOf(evaluate, "") },
			check:   paired(evaluate), want: "pod evaluate-0 holds no device", fail: true,
		},
		"no worker": {
			arrange: func(*observation) {},
			check:   paired(evaluate), want: "RayCluster evaluate has no worker with devices", fail: true,
		},
		"GPUs only": {
			arrange: func(seen *observation) { seen.holder(notebooks, []int{0, 1}, nil) },
			check:   gpusOnly(notebooks, 1, 2),
			want:    "each has 2 GPUs and no NIC, on a node each: the first free GPU and the first free NIC there are no pair",
		},
		"GPUs at the end of the list": {
			arrange: func(seen *observation) { seen.holder(notebooks, []int{6, 7}, nil) },
			check:   gpusOnly(notebooks, 1, 2),
			want:    "the first free devices of ndh100v5-s1-l1-n1, gpu-0 and pci-0101-00-00-0, are a pair: it shows nothing there", fail: true,
		},
		"a notebook with a NIC": {
			arrange: func(seen *observation) { seen.holder(notebooks, []int{0, 1}, []int{0}) },
			check:   gpusOnly(notebooks, 1, 2), want: "pod notebooks-0: want 2 GPUs and no NIC, got 2 and 1", fail: true,
		},
		"two notebooks on one node": {
			arrange: func(seen *observation) {
				seen.holder(notebooks, []int{0, 1}, nil)
				seen.holder(notebooks, []int{2, 3}, nil)
			},
			check: gpusOnly(notebooks, 2, 2), want: "StatefulSet notebooks: want 2 pods on a node each, got 1 nodes", fail: true,
		},
		"workers where notebooks are": {
			arrange: func(seen *observation) {
				seen.holder(notebooks, []int{0, 1}, nil)
				seen.holder(evaluate, []int{2}, []int{2})
			},
			check: beside(evaluate, notebooks), want: "all 1 workers are on nodes where StatefulSet notebooks came first",
		},
		"a worker where no notebook is": {
			arrange: func(seen *observation) {
				seen.holder(notebooks, []int{0, 1}, nil)
				seen.gangOf(evaluate, nodesOf(1, 1, 2)...)
			},
			check: beside(evaluate, notebooks),
			want:  `pod evaluate-1 is on "ndh100v5-s1-l1-n2", where no pod of StatefulSet notebooks runs`, fail: true,
		},
	} {
		t.Run(name, test.run)
	}
}

func TestPairsAreWrittenPerWorker(t *testing.T) {
	seen := newObservation()
	seen.holder(notebooks, []int{0, 1}, nil)
	seen.holder(evaluate, []int{2, 3}, []int{3, 0})
	seen.gangOf(evaluate, nodesOf(1, 1, 2)...)
	seen.gangOf(evaluate, "")
	seen.gangOf(pretrain, nodesOf(1, 1, 3, 4)...)
	want := map[string][]string{
		"notebooks": {"notebooks-0 on ndh100v5-s1-l1-n1: GPUs only", "  gpu-0  gpu-1"},
		"evaluate": {
			"evaluate-1 on ndh100v5-s1-l1-n1: 1 of 2 pairs are true",
			"  gpu-3+pci-0104-00-00-0  gpu-2 and pci-0101-00-00-0, no pair",
			"evaluate-2 on ndh100v5-s1-l1-n2: 8 of 8 pairs are true",
			"  gpu-0+pci-0101-00-00-0  gpu-1+pci-0102-00-00-0  gpu-2+pci-0103-00-00-0",
			"  gpu-3+pci-0104-00-00-0  gpu-4+pci-0105-00-00-0  gpu-5+pci-0106-00-00-0",
			"  gpu-6+pci-0107-00-00-0  gpu-7+pci-0108-00-00-0",
		},
		// The devices of the second worker have the same names, so they are not listed
		// again.
		"pretrain": {
			"pretrain-4 on ndh100v5-s1-l1-n3: 8 of 8 pairs are true",
			"  gpu-0+pci-0101-00-00-0  gpu-1+pci-0102-00-00-0  gpu-2+pci-0103-00-00-0",
			"  gpu-3+pci-0104-00-00-0  gpu-4+pci-0105-00-00-0  gpu-5+pci-0106-00-00-0",
			"  gpu-6+pci-0107-00-00-0  gpu-7+pci-0108-00-00-0",
			"pretrain-5 on ndh100v5-s1-l1-n4: 8 of 8 pairs are true",
		},
	}
	got := map[string][]string{"notebooks": seen.pairLines(notebooks), "evaluate": seen.pairLines(evaluate), "pretrain": seen.pairLines(pretrain)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want,+got):\n%s", diff)
	}
}
