// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

var volumeScenes = []scene{
	{
		name:    "each member mounts a local volume of its node, in two roles",
		sources: twoSources,
		given:   []step{class("disk"), volume("disk", "a", 1), volume("disk", "b", 4), volume("disk", "c", 6)},
		gang:    []role{single("head", cpu(8), mountsOwn("disk")), many("worker", 2, mountsOwn("disk"))},
		check:   []step{counts(host, 1, 1, 1), within(1, 4, 6)},
	},
	{
		name: "members with volumes of two classes go to the nodes that have both",
		given: []step{
			class("fast"), class("slow"), volume("fast", "f0", 0), volume("fast", "f3", 3), volume("fast", "f5", 5),
			volume("slow", "s3", 3), volume("slow", "s5", 5), volume("slow", "s6", 6),
		},
		gang:  []role{many("worker", 2, mountsOwn("fast"), mountsOwn("slow"))},
		check: []step{stand("worker", 3, 5)},
	},
	{
		name:  "local volumes and anti-affinity by leaf",
		given: []step{class("disk"), volume("disk", "a", 0), volume("disk", "b", 1), volume("disk", "c", 6)},
		gang:  []role{many("worker", 2, mountsOwn("disk"), apart(leaf, gangLabel, gangName))},
		check: []step{counts(leaf, 1, 1), within(0, 1, 6)},
	},
	{
		name:  "bound volumes of two rooms divide a role",
		given: []step{class("disk"), rooms("a", "a", "a", "", "", "b", "b", "b"), bound("disk", "left", room, "a"), bound("disk", "right", room, "b")},
		gang:  []role{many("l", 3, large, mounts("left")), many("r", 3, large, mounts("right"))},
		check: []step{stand("l", 0, 1, 2), stand("r", 5, 6, 7)},
	},
	{
		name:  "a volume that two nodes reach, where a host port excludes one of them",
		given: []step{class("disk"), volume("disk", "wide", 2, 3), running("exporter", 2, port(9000))},
		gang:  []role{single("store", mountsOwn("disk"), port(9000)), single("worker", large)},
		check: []step{stand("store", 3)},
	},
	{
		name:    "two volumes on one node hold two large members only there, so the gang is refused",
		given:   []step{class("disk"), volume("disk", "a", 4), volume("disk", "b", 4)},
		gang:    []role{many("worker", 2, large, mountsOwn("disk"))},
		refused: "1 of 2 members fit",
	},
	{
		name:  "nodes attach one volume each",
		given: []step{attaching(1, 0, 3, 5)},
		gang:  []role{many("worker", 3, hosts(0, 3, 5), attachesOwn)},
		check: []step{stand("worker", 0, 3, 5)},
	},
	{
		name:  "nodes attach two volumes each, and each member has two",
		given: []step{attaching(2, 1, 4)},
		gang: each(2, func(int) []option {
			return []option{hosts(1, 4), attachesOwn, func(s *stage, p *corev1.Pod) {
				attached("more-"+p.Name, corev1.ReadWriteOnce)(s)
				mounts("more-"+p.Name)(s, p)
			}}
		}),
		check: []step{counts(host, 1, 1)},
	},
	{
		name:    "a volume that members share counts once beside their own",
		sources: everySource[:2],
		given:   []step{attaching(2, 0), attached("data", corev1.ReadWriteMany)},
		gang:    []role{many("reader", 3, hosts(0), mounts("data")), single("writer", hosts(0), mounts("data"), attachesOwn)},
		check:   []step{counts(host, 4)},
	},
	{
		name:    "one volume more than the nodes attach",
		given:   []step{attaching(1, 2, 6)},
		gang:    []role{many("worker", 3, hosts(2, 6), attachesOwn)},
		refused: "2 of 3 members fit",
	},
	{
		name:  "attach limits and spread over rooms",
		given: []step{rooms("a", "a", "b", "b", "", "", "", ""), attaching(1, 0, 1, 2, 3)},
		gang:  []role{many("worker", 4, inARoom, even(room, 1), attachesOwn)},
		check: []step{stand("worker", 0, 1, 2, 3)},
	},
	{
		name:  "local volumes of the workers, and the head in the room of one of them",
		given: append([]step{class("disk"), rooms("a", "a", "b", "b", "", "", "", "")}, volumesOf("disk", 0, 2, 3)...),
		gang:  []role{single("head", large, near(room, roleLabel, "worker")), many("worker", 3, large, mountsOwn("disk"))},
		check: []step{stand("head", 1), stand("worker", 0, 2, 3)},
	},
}

// volumesOf creates a volume on each of the nodes.
func volumesOf(class string, numbers ...int) []step {
	var steps []step
	for _, i := range numbers {
		steps = append(steps, volume(class, fmt.Sprintf("%s-%d", class, i), i))
	}
	return steps
}
