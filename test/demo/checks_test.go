// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const why = "gang podgroup demo/serve: 6 of 8 members fit"

// checkCase is an observation and the result that a check must return for it.
type checkCase struct {
	arrange func(seen *observation)
	check   check
	// want is the expected sentence or error.
	want string
	fail bool
}

// TestChecks runs every check on an observation for which it must pass and on observations
// for which it must fail.
func TestChecks(t *testing.T) {
	for name, test := range map[string]checkCase{
		"four workers in one leaf": {
			arrange: func(seen *observation) { seen.gangOf(pretrain, nodesOf(1, 1, 1, 2, 3, 4)...) },
			check:   together(pretrain, 4, leafLevel, 1),
			want:    "all 4 workers are in one leaf, ndh100v5-s1-l1, on a node each",
		},
		"one worker in another leaf": {
			arrange: func(seen *observation) {
				seen.gangOf(pretrain, append(nodesOf(1, 1, 1, 2, 3), nodesOf(1, 2, 1)...)...)
			},
			check: together(pretrain, 4, leafLevel, 1),
			want:  "RayJob pretrain: want all workers in one leaf, got 3 in ndh100v5-s1-l1, 1 in ndh100v5-s1-l2", fail: true,
		},
		"two workers on one node": {
			arrange: func(seen *observation) { seen.gangOf(pretrain, nodesOf(1, 1, 1, 1, 2, 3)...) },
			check:   together(pretrain, 4, leafLevel, 1),
			want:    "RayJob pretrain: want 4 workers on a node each, got 4 on 3", fail: true,
		},
		"six workers in one spine": {
			arrange: func(seen *observation) {
				seen.gangOf(finetune, append(nodesOf(2, 1, 1, 2, 3, 4), nodesOf(2, 2, 1, 2)...)...)
			},
			check: together(finetune, 6, spineLevel, 2),
			want:  "all 6 workers are in one spine, ndh100v5-s2, on a node each: 4 in ndh100v5-s2-l1, 2 in ndh100v5-s2-l2",
		},
		"six workers over two spines": {
			arrange: func(seen *observation) {
				seen.gangOf(finetune, append(nodesOf(2, 1, 1, 2, 3, 4), nodesOf(1, 2, 1, 2)...)...)
			},
			check: together(finetune, 6, spineLevel, 2),
			want:  "RayCluster finetune: want all workers in one spine, got 2 in ndh100v5-s1, 4 in ndh100v5-s2", fail: true,
		},
		"a pod on a node that does not exist": {
			arrange: func(seen *observation) { seen.gangOf(pretrain, "nowhere") },
			check:   together(pretrain, 1, leafLevel, 1),
			want:    `pod pretrain-0 is on node "nowhere", which does not exist`, fail: true,
		},
		"workers with all devices of their nodes": {
			arrange: func(seen *observation) { seen.gangOf(pretrain, nodesOf(1, 1, 1, 2)...) },
			check:   equipped(pretrain, 8),
			want:    "each has 8 GPUs and 8 RDMA NICs of its own node: 16 GPUs, 16 NICs, 16 of them beside their GPU",
		},
		"a worker with a device of another node": {
			arrange: func(seen *observation) {
				seen.gangOf(pretrain, nodesOf(1, 1, 1)...)
				results(seen.claims["pretrain-0"])[0].Pool = "ndh100v5-s1-l1-n2"
			},
			check: equipped(pretrain, 8),
			want:  "pod pretrain-0 runs on ndh100v5-s1-l1-n1 and has device gpu-0 of ndh100v5-s1-l1-n2", fail: true,
		},
		"a device allocated to two pods": {
			arrange: func(seen *observation) { seen.gangOf(pretrain, nodesOf(1, 1, 1, 1)...) },
			check:   equipped(pretrain, 8),
			want:    "device gpu-0 of ndh100v5-s1-l1-n1 belongs to both pretrain-0 and pretrain-1", fail: true,
		},
		"a worker with a device too few": {
			arrange: func(seen *observation) {
				seen.gangOf(pretrain, nodesOf(1, 1, 1)...)
				allocation := seen.claims["pretrain-0"].Status.Allocation
				allocation.Devices.Results = slices.Delete(allocation.Devices.Results, 0, 1)
			},
			check: equipped(pretrain, 8),
			want:  "pod pretrain-0: want 8 GPUs and 8 NICs, got 7 and 8", fail: true,
		},
		"a head on a node": {
			arrange: func(seen *observation) { seen.head(pretrain, "ndh100v5-s1-l1-n1") },
			check:   headRuns(pretrain), want: "its head runs on ndh100v5-s1-l1-n1, on CPUs only",
		},
		"a head that waits": {
			arrange: func(seen *observation) { seen.head(pretrain, "") },
			check:   headRuns(pretrain), want: "RayJob pretrain: no head is bound", fail: true,
		},
		"a gang with a pod that waits": {
			arrange: func(seen *observation) { seen.gangOf(serve, "ndh100v5-s1-l1-n1", "") },
			check:   allBound(serve, 2), want: "PodGroup serve: 2 of 2 pods exist and 1 are bound", fail: true,
		},
		"a gang that waits with a reason": {
			arrange: func(seen *observation) {
				seen.gangOf(serve, "")
				seen.waiting(serve, why)
			},
			check: allBound(serve, 1), fail: true,
			want: "PodGroup serve: 1 of 1 pods exist and 0 are bound; pod serve-0: 0/16 nodes are available: gang podgroup demo/serve: 6 of 8 members fit.",
		},
		"all pods bound": {
			arrange: func(seen *observation) { seen.gangOf(serve, nodesOf(1, 1, 1, 2)...) },
			check:   allBound(serve, 2), want: "all 2 pods of PodGroup serve are bound",
		},
		"too few nodes are free": {
			arrange: func(seen *observation) {
				seen.gangOf(pretrain, append(nodesOf(1, 1, 1, 2, 3, 4), nodesOf(2, 1, 1, 2, 3, 4)...)...)
				seen.gangOf(finetune, nodesOf(2, 2, 1, 2)...)
			},
			check: cannotFit(serve, 8), want: "6 nodes are free and PodGroup serve needs 8",
		},
		"enough nodes are free": {
			arrange: func(seen *observation) { seen.gangOf(pretrain, nodesOf(1, 1, 1, 2, 3, 4)...) },
			check:   cannotFit(serve, 8), want: "12 nodes are free: PodGroup serve, which needs 8, could start", fail: true,
		},
		"a gang that holds nothing": {
			arrange: func(seen *observation) { seen.gangOf(serve, "", "") },
			check:   holdsNothing(serve, 2), want: "none of its 2 pods has a node, none of its 2 claims a device",
		},
		"a gang half bound": {
			arrange: func(seen *observation) { seen.gangOf(serve, "", "ndh100v5-s1-l1-n1") },
			check:   holdsNothing(serve, 2),
			want:    `pod serve-1 of a gang that cannot fit has node "ndh100v5-s1-l1-n1", nominated ""`, fail: true,
		},
		"a gang with devices": {
			arrange: func(seen *observation) {
				seen.gangOf(serve, "ndh100v5-s1-l1-n1")
				seen.pods[0].Spec.NodeName = ""
			},
			check: holdsNothing(serve, 1), want: "claim serve-0 of a gang that cannot fit is allocated", fail: true,
		},
		"a gang whose pods have a reason": {
			arrange: func(seen *observation) {
				seen.gangOf(serve, "", "")
				seen.waiting(serve, why)
			},
			check: reportsReason(serve, 2), want: "all 2 pods have a reason, and an event on the PodGroup has it too",
		},
		"a pod without a reason": {
			arrange: func(seen *observation) {
				seen.gangOf(serve, "", "")
				seen.waiting(serve, why)
				seen.pods[1].Status.Conditions = nil
			},
			check: reportsReason(serve, 2), want: `pod serve-1 has no reason that names its gang: PodScheduled has ""`, fail: true,
		},
		"a PodGroup with another sentence": {
			arrange: func(seen *observation) {
				seen.gangOf(serve, "", "")
				seen.waiting(serve, why)
				seen.events[0].Message = "gang podgroup demo/serve: 5 of 8 members fit"
			},
			check: reportsReason(serve, 2), want: "no event on PodGroup serve has the sentence of its pods", fail: true,
		},
		"a PodGroup without an event": {
			arrange: func(seen *observation) {
				seen.gangOf(serve, "", "")
				seen.waiting(serve, why)
				seen.events = nil
			},
			check: reportsReason(serve, 2), want: "no event on PodGroup serve has the sentence of its pods", fail: true,
		},
		"a job without pods": {
			arrange: func(*observation) {}, check: gone(pretrain), want: "nothing of RayJob pretrain is left",
		},
		"a job that left a pod": {
			arrange: func(seen *observation) { seen.head(pretrain, "") },
			check:   gone(pretrain), want: "RayJob pretrain was deleted and has 1 pods", fail: true,
		},
	} {
		t.Run(name, test.run)
	}
}

func (test checkCase) run(t *testing.T) {
	seen := newObservation()
	test.arrange(seen)
	got, err := test.check(seen)
	if err != nil {
		got = err.Error()
	}
	if diff := cmp.Diff(test.want, got); diff != "" {
		t.Errorf("sentence (-want,+got):\n%s", diff)
	}
	if test.fail != (err != nil) {
		t.Errorf("want fail=%t, got error %v", test.fail, err)
	}
}
