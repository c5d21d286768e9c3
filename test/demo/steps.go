// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"time"
)

// step is one act of the demo.
type step struct {
	title, story string
	// command is what a user types, after "kubectl".
	command []string
	// awaited is what the step waits for, one after the other.
	awaited []check
	// stays is for how long checks must remain true, where time could break them.
	stays time.Duration
	// checks are what must be true then.
	checks []check
	// places are the pods whose pairs of devices the viewer should read; none if
	// the step binds none.
	places []gang
	// binds is how many pods the step binds.
	binds int
	// show are commands whose words the viewer should read.
	show []shown
}

// shown is a command of which one section of the answer is shown.
type shown struct {
	command []string
	section string
}

// The arithmetic: 16 nodes in 2 spines of 2 leaves of 4. Step 1 takes a leaf, 12
// are left, 8 of them in the other spine. Step 2 takes 6 of those 8, 6 are left.
// Step 3 needs 8. Step 4 gives 4 back: 10 are free, 8 of them in one spine. The
// nodes come back one by one, and eight are free before one spine is: that is
// why step 3 requires a spine, since a gang that only prefers one rightly starts
// as soon as it can. Two nodes are left then. Step 5 puts a pod on each that takes
// 2 of its 8 GPUs, and step 6 fills both with 3 workers of 2 GPUs and 2 NICs.
var steps = []step{
	{
		title:   "1  A RayJob: one head and four workers, each worker 8 GPUs and 8 RDMA NICs",
		story:   "Four nodes are one leaf. Dovetail should find that without being told.",
		command: []string{"apply", "-f", "1-rayjob.yaml"},
		awaited: []check{allBound(pretrain, 5)},
		checks:  []check{together(pretrain, 4, leafLevel, 1), equipped(pretrain, 8), paired(pretrain), headRuns(pretrain)},
		places:  []gang{pretrain},
		binds:   5,
	},
	{
		title:   "2  A RayCluster of six such workers that prefers a leaf",
		story:   "No leaf has six nodes. The next best is one spine, and only one has six free.",
		command: []string{"apply", "-f", "2-raycluster.yaml"},
		awaited: []check{allBound(finetune, 7)},
		checks:  []check{together(finetune, 6, spineLevel, 2), equipped(finetune, 8), paired(finetune), headRuns(finetune)},
		places:  []gang{finetune},
		binds:   7,
	},
	{
		title:   "3  A PodGroup of eight such pods that requires one spine and cannot fit",
		story:   "Six nodes are free, four of them in one spine. It must hold nothing, and say why.",
		command: []string{"apply", "-f", "3-podgroup.yaml"},
		awaited: []check{saysWhy(serve, 8)},
		stays:   3 * time.Second,
		checks:  []check{cannotFit(serve, 8), holdsNothing(serve, 8), saysWhy(serve, 8)},
		show: []shown{
			{command: []string{"get", "pod", "serve-0", "-o", `jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}`}},
			{command: []string{"describe", "podgroups.scheduling.x-k8s.io", "serve"}, section: "Events:"},
		},
	},
	{
		title:   "4  The RayJob is deleted, and the waiting gang starts",
		story:   "Four nodes come back, eight are free in one spine. Nobody has to do anything.",
		command: []string{"delete", "rayjob", "pretrain"},
		awaited: []check{gone(pretrain), allBound(serve, 8)},
		checks:  []check{together(serve, 8, spineLevel, 2), equipped(serve, 8), paired(serve)},
		places:  []gang{serve},
		binds:   8,
	},
	gpuOnlyFirst,
	gangAfterwards,
}

// gpuOnlyFirst and gangAfterwards are about pairs where the first free GPU and the
// first free NIC are none.
var (
	gpuOnlyFirst = step{
		title:   "5  Two notebooks that take 2 GPUs each and no NIC come first",
		story:   "Two nodes are free. On both, GPUs go and all NICs stay: the lists no longer match.",
		command: []string{"apply", "-f", "5-gpu-only.yaml"},
		awaited: []check{allBound(notebooks, 2)},
		checks:  []check{gpusOnly(notebooks, 2, 2)},
		places:  []gang{notebooks},
		binds:   2,
	}
	gangAfterwards = step{
		title:   "6  Then a RayCluster of six workers, each 2 GPUs and 2 RDMA NICs",
		story:   "Three fit on each of those two nodes. Each should get the NICs beside its own GPUs.",
		command: []string{"apply", "-f", "6-raycluster.yaml"},
		awaited: []check{allBound(evaluate, 7)},
		checks:  []check{beside(evaluate, notebooks), equipped(evaluate, 2), paired(evaluate), headRuns(evaluate)},
		places:  []gang{evaluate},
		binds:   7,
	}
)

// typed is the step's command as a user types it in the checkout.
func (s step) typed() string { return typed(s.command) }

func (s shown) typed() string { return typed(s.command) }

func typed(arguments []string) string {
	words := []string{"kubectl"}
	for _, argument := range arguments {
		switch {
		case strings.HasSuffix(argument, ".yaml"):
			argument = "test/demo/" + argument
		case strings.ContainsAny(argument, `{["?@`):
			argument = "'" + argument + "'"
		}
		words = append(words, argument)
	}
	return strings.Join(words, " ")
}
