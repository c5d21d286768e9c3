// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

var differingScenes = []scene{
	{
		name:    "each member selects a node, in the opposite order",
		sources: twoSources,
		gang:    each(8, func(i int) []option { return []option{large, selecting(host, nodeName(7-i))} }),
		check:   []step{stand("member0", 7), stand("member1", 6), stand("member7", 0)},
	},
	{
		name: "overlapping node affinity leaves one way to place the members",
		gang: []role{
			single("a", large, hosts(0, 1)), single("b", large, hosts(0)), single("c", large, hosts(1, 2)), single("d", large, hosts(2, 3)),
		},
		check: []step{stand("a", 1), stand("b", 0), stand("c", 2), stand("d", 3)},
	},
	{
		name:    "two of four members tolerate the taint of half of the nodes",
		sources: twoSources,
		given:   []step{tainted(0, 1)},
		gang: each(4, func(i int) []option {
			options := []option{large, hosts(0, 1, 2, 3)}
			if i%2 == 1 {
				options = append(options, tolerant)
			}
			return options
		}),
		check: []step{within(0, 1, 2, 3), counts(host, 1, 1, 1, 1)},
	},
	{
		name:  "one size for each member fills two nodes",
		gang:  each(4, func(i int) []option { return []option{cpu([]int{60, 85, 30, 10}[i]), hosts(3, 4)} }),
		check: []step{counts(host, 2, 2)},
	},
	{
		name: "members of one role with claims for GPUs, for NICs and none",
		given: []step{
			template("gpus", exactly(fleetGPU, 8)), template("nics", exactly(fleetNIC, 8)),
		},
		gang: []role{
			single("gpu", claims("gpus"), hosts(2, 3)), single("nic", claims("nics"), hosts(2)), single("both", claims("gpus"), hosts(2)), single("none", hosts(2)),
		},
		check: []step{stand("gpu", 3), stand("both", 2)},
	},
	{
		name:    "two members select the same node, and one does not fit",
		gang:    each(4, func(i int) []option { return []option{large, selecting(host, nodeName([]int{0, 1, 2, 2}[i]))} }),
		refused: "3 of 4 members fit",
	},
	{
		name:    "a controller adds a node selector to each gated member and removes the gate",
		sources: twoSources,
		gang:    each(4, func(int) []option { return []option{large, gated} }),
		then:    ungatedTo(6, 0, 3, 5),
		check:   []step{stand("member0", 6), stand("member1", 0), stand("member2", 3), stand("member3", 5)},
	},
	{
		name:  "one member of a role refuses the others, and each has a node affinity of its own",
		gang:  []role{single("a", hosts(0, 1), apart(host, gangLabel, gangName)), single("b", hosts(0, 1)), single("c", hosts(1, 2)), single("d", hosts(1))},
		check: []step{stand("a", 0), stand("b", 1), stand("d", 1)},
	},
	{
		name:  "host ports differ within a role",
		gang:  each(4, func(i int) []option { return []option{port(int32(9000 + i%2)), hosts(6, 7)} }),
		check: []step{counts(host, 2, 2)},
	},
}

// ungatedTo removes the gate of each member, which then selects one node.
func ungatedTo(numbers ...int) []step {
	var steps []step
	for i, node := range numbers {
		steps = append(steps, patched(fmt.Sprintf("member%d-0", i),
			fmt.Sprintf(`{"spec":{"schedulingGates":null,"nodeSelector":{%q:%q}}}`, corev1.LabelHostname, nodeName(node))))
	}
	return steps
}
