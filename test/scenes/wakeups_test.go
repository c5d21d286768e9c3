// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	corev1 "k8s.io/api/core/v1"
)

var nodeScenes = []scene{
	{
		name:    "a node is uncordoned",
		sources: everySource,
		given:   []step{cordoned(3)},
		gang:    []role{many("worker", 8, large)},
		refused: "7 of 8 members fit",
		then:    []step{uncordoned(3)},
	},
	{
		name:    "a node gets the label of a room",
		sources: everySource,
		given:   []step{rooms("a", "a", "a", "", "", "", "", "")},
		gang:    []role{many("worker", 4, large, selecting(room, "a"))},
		refused: "3 of 4 members fit",
		then:    []step{nodeGetsRoom(6, "a")},
		check:   []step{stand("worker", 0, 1, 2, 6)},
	},
	{
		name:    "a node gets the label that a spread lacks",
		given:   []step{rooms("a", "a", "b", "b", "", "", "", "")},
		gang:    []role{many("worker", 3, even(room, 1, atLeast(3)), inARoom)},
		refused: "2 of 3 members fit",
		then:    []step{nodeGetsRoom(7, "c")},
		check:   []step{counts(room, 1, 1, 1)},
	},
	{
		name:    "a node is added",
		given:   []step{added(false, 1)},
		gang:    []role{many("worker", 2, large, onAdded)},
		refused: "1 of 2 members fit",
		then:    []step{addedLater},
		check:   []step{counts(host, 1, 1)},
	},
	{
		name:    "a taint is removed",
		sources: everySource,
		given:   []step{tainted(1, 2)},
		gang:    []role{many("worker", 7, large)},
		refused: "6 of 7 members fit",
		then:    []step{untainted(2)},
		check:   []step{stand("worker", 0, 2, 3, 4, 5, 6, 7)},
	},
}

var podScenes = []scene{
	{
		name:    "a pod that holds the cores goes",
		sources: everySource,
		given:   []step{running("filler", 4, large)},
		gang:    []role{many("worker", 8, large)},
		refused: "7 of 8 members fit",
		then:    []step{deleted("filler")},
	},
	{
		name:    "a pod that holds the host port goes",
		sources: everySource,
		given:   []step{running("exporter", 4, port(9000))},
		gang:    []role{many("worker", 8, port(9000))},
		refused: "7 of 8 members fit",
		then:    []step{deleted("exporter")},
		check:   []step{counts(host, 1, 1, 1, 1, 1, 1, 1, 1)},
	},
	{
		name:    "a pod that refuses the members in its spine goes",
		given:   []step{running("quiet", 0, apart(spine, gangLabel, gangName))},
		gang:    []role{many("worker", 5, large)},
		refused: "4 of 5 members fit",
		then:    []step{deleted("quiet")},
	},
	{
		name:    "a pod that the members refuse loses its label",
		given:   []step{running("noisy", 0, labelled("app", "noisy"))},
		gang:    []role{many("worker", 8, large, apart(host, "app", "noisy"))},
		refused: "7 of 8 members fit",
		then:    []step{patched("noisy", `{"metadata":{"labels":{"app":"calm"}}}`)},
	},
	{
		name:    "the pod that the members require in their leaf comes",
		sources: everySource,
		gang:    []role{many("worker", 2, large, near(leaf, "app", "store"))},
		refused: "0 of 2 members fit",
		then:    []step{running("store", 3, labelled("app", "store"))},
		check:   []step{stand("worker", 2, 3)},
	},
	{
		name: "a running pod that unbalances the spread goes",
		given: []step{
			rooms("a", "b", "", "", "", "", "", ""), cordoned(1),
			running("old", 0, labelled("app", "web")),
		},
		gang: []role{single("worker", inARoom, func(s *stage, p *corev1.Pod) {
			p.Labels["app"] = "web"
			even(room, 1, taints(corev1.NodeInclusionPolicyIgnore))(s, p)
			p.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels = map[string]string{"app": "web"}
		})},
		refused: "0 of 1 member",
		then:    []step{deleted("old")},
		check:   []step{stand("worker", 0)},
	},
}

var storageScenes = []scene{
	{
		name:    "a local volume is created",
		given:   []step{class("disk"), volume("disk", "a", 1)},
		gang:    []role{many("worker", 2, large, mountsOwn("disk"))},
		refused: "1 of 2 members fit",
		then:    []step{volume("disk", "b", 6)},
		check:   []step{stand("worker", 1, 6)},
	},
	{
		name:    "the claim of a member is created",
		given:   []step{class("disk"), volume("disk", "a", 2)},
		gang:    []role{single("store", mounts("data")), single("worker", large)},
		refused: `persistentvolumeclaim "data" not found`,
		then:    []step{claimed("disk", "data")},
		check:   []step{stand("store", 2)},
	},
	{
		name:    "the storage class of the claims is created, and then their volumes",
		gang:    []role{many("worker", 2, mountsOwn("disk"))},
		refused: "pod has unbound immediate PersistentVolumeClaims",
		then:    []step{class("disk"), volume("disk", "a", 2), volume("disk", "b", 5)},
		check:   []step{stand("worker", 2, 5)},
	},
	{
		name:    "a CSI driver reports more capacity",
		given:   []step{capacity("10Mi")},
		gang:    []role{many("worker", 2, large, mountsOwn("csi"))},
		refused: "0 of 2 members fit",
		then:    []step{capacityGrows("100Gi", 2)},
		check:   []step{counts(host, 1, 1)},
	},
	{
		name:    "a node attaches more volumes",
		given:   []step{attaching(1, 4, 5)},
		gang:    []role{many("worker", 3, hosts(4, 5), attachesOwn)},
		refused: "2 of 3 members fit",
		then:    []step{attachesMore(5, 2)},
		check:   []step{stand("worker", 4, 5, 5)},
	},
	{
		name:    "a pod whose volume takes the last attachment goes",
		given:   []step{attaching(1, 4, 5), running("reader", 4, attachesOwn)},
		gang:    []role{many("worker", 2, hosts(4, 5), attachesOwn)},
		refused: "1 of 2 members fit",
		then:    []step{deleted("reader")},
		check:   []step{stand("worker", 4, 5)},
	},
	{
		name:    "the pod goes that uses a ReadWriteOncePod claim of a member",
		given:   []step{attaching(9, 0), attached("data", corev1.ReadWriteOncePod), running("reader", 0, mounts("data"))},
		gang:    []role{single("store", mounts("data")), many("worker", 2, large)},
		refused: "2 of 3 members fit",
		then:    []step{deleted("reader")},
	},
	{
		name:    "the claim template of the members is created",
		sources: everySource[:2],
		gang:    []role{many("worker", 2, claims("gpus"))},
		refused: "gpus",
		then:    []step{template("gpus", exactly(fleetGPU, 8))},
		check:   []step{counts(host, 1, 1)},
	},
}
