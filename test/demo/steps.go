// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"time"
)

// step is a step of the demo.
type step struct {
	title, story string
	// command is the command line of the user, after "kubectl".
	command []string
	// awaited are the checks that the step waits for, in this order.
	awaited []check
	// stays is how long the checks must remain true.
	stays time.Duration
	// checks are the checks that must pass afterwards.
	checks []check
	// places are the gangs whose GPU-NIC pairs are listed. It is empty if the step binds no
	// pod.
	places []gang
	// binds is the number of pods that the step binds.
	binds int
	// show are the commands whose output is printed.
	show []shown
}

// shown is a command and the section of its output that is printed.
type shown struct {
	command []string
	section string
}

// The number of free nodes: 16 nodes are in 2 spines of 2 leaves of 4. Step 1 takes a leaf:
// 12 nodes are left, 8 of them in the other spine. Step 2 takes 6 of those 8: 6 are left.
// Step 3 needs 8. Step 4 frees 4: 10 are free, 8 of them in one spine. Nodes become free in
// any order, and 8 are free before one spine is. Step 3 therefore requires a spine: a gang
// that only prefers a spine would correctly start earlier, across two. Afterwards two nodes
// are left. Step 5 puts a pod on each that takes 2 of its 8 GPUs, and step 6 fills both
// with 3 workers of 2 GPUs and 2 NICs.
var steps = []step{
	{
		title:   "1. A RayJob: one head and four workers, each worker 8 GPUs and 8 RDMA NICs",
		story:   "The four nodes of one leaf switch are enough. Without any annotation, Dovetail should choose one leaf.",
		command: []string{"apply", "-f", "1-rayjob.yaml"},
		awaited: []check{allBound(pretrain, 5)},
		checks:  []check{together(pretrain, 4, leafLevel, 1), equipped(pretrain, 8), paired(pretrain), headRuns(pretrain)},
		places:  []gang{pretrain},
		binds:   5,
	},
	{
		title:   "2. A RayCluster of six such workers that prefers a leaf",
		story:   "No leaf has six nodes. The next larger domain is a spine, and only one spine has six free nodes.",
		command: []string{"apply", "-f", "2-raycluster.yaml"},
		awaited: []check{allBound(finetune, 7)},
		checks:  []check{together(finetune, 6, spineLevel, 2), equipped(finetune, 8), paired(finetune), headRuns(finetune)},
		places:  []gang{finetune},
		binds:   7,
	},
	{
		title:   "3. A PodGroup of eight such pods that requires one spine and cannot fit",
		story:   "Six nodes are free, four of them in one spine. The gang must hold nothing, and its pods must carry the reason.",
		command: []string{"apply", "-f", "3-podgroup.yaml"},
		awaited: []check{reportsReason(serve, 8)},
		stays:   3 * time.Second,
		checks:  []check{cannotFit(serve, 8), holdsNothing(serve, 8), reportsReason(serve, 8)},
		show: []shown{
			{command: []string{"get", "pod", "serve-0", "-o", `jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}`}},
			{command: []string{"describe", "podgroups.scheduling.x-k8s.io", "serve"}, section: "Events:"},
		},
	},
	{
		title:   "4. The RayJob is deleted, and the waiting gang starts",
		story:   "Four nodes become free, so eight are free in one spine. The gang starts without further action.",
		command: []string{"delete", "rayjob", "pretrain"},
		awaited: []check{gone(pretrain), allBound(serve, 8)},
		checks:  []check{together(serve, 8, spineLevel, 2), equipped(serve, 8), paired(serve)},
		places:  []gang{serve},
		binds:   8,
	},
	gpuOnlyFirst,
	gangAfterwards,
}

// gpuOnlyFirst and gangAfterwards demonstrate GPU-NIC pairs on nodes whose first free GPU and
// first free NIC are no pair.
var (
	gpuOnlyFirst = step{
		title:   "5. Two notebooks that take 2 GPUs each and no NIC come first",
		story:   "Two nodes are free. On both, GPUs are taken and all NICs stay free: the first free GPU and the first free NIC are no longer a pair.",
		command: []string{"apply", "-f", "5-gpu-only.yaml"},
		awaited: []check{allBound(notebooks, 2)},
		checks:  []check{gpusOnly(notebooks, 2, 2)},
		places:  []gang{notebooks},
		binds:   2,
	}
	gangAfterwards = step{
		title:   "6. Then a RayCluster of six workers, each 2 GPUs and 2 RDMA NICs",
		story:   "Three workers fit on each of those two nodes. Each should get the NICs beside its own GPUs.",
		command: []string{"apply", "-f", "6-raycluster.yaml"},
		awaited: []check{allBound(evaluate, 7)},
		checks:  []check{beside(evaluate, notebooks), equipped(evaluate, 2), paired(evaluate), headRuns(evaluate)},
		places:  []gang{evaluate},
		binds:   7,
	}
)

// typed returns the step's command as a user types it in the repository.
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
