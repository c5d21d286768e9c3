// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

var affinityScenes = []scene{
	{
		name:    "only the head refuses workers on its node",
		sources: twoSources,
		gang:    []role{single("head", cpu(8), apart(host, roleLabel, "worker")), many("worker", 7, large)},
		check:   []step{counts(host, 1, 1, 1, 1, 1, 1, 1, 1)},
	},
	{
		name: "servers refuse clients in their room, and there is one room for all servers",
		given: []step{
			rooms("a", "a", "b", "b", "c", "c", "", ""),
		},
		gang: []role{
			many("server", 2, large, inARoom, apart(room, roleLabel, "client")),
			many("client", 4, large, inARoom),
		},
		check: []step{counts(room, 2, 2, 2)},
	},
	{
		name:  "a running pod refuses the members in its leaf",
		given: []step{running("quiet", 1, apart(leaf, gangLabel, gangName))},
		gang:  []role{many("worker", 6, large)},
		check: []step{stand("worker", 2, 3, 4, 5, 6, 7)},
	},
	{
		name:    "the members refuse a running pod in their spine",
		sources: everySource,
		given:   []step{running("noisy", 5, labelled("app", "noisy"))},
		gang:    []role{many("worker", 4, large, apart(spine, "app", "noisy"))},
		check:   []step{stand("worker", 0, 1, 2, 3)},
	},
	{
		name:    "three members in different spines are refused where two spines exist",
		sources: everySource,
		gang:    []role{many("worker", 3, apart(spine, gangLabel, gangName))},
		refused: "2 of 3 members fit",
	},
	{
		name:    "a member for each leaf",
		sources: everySource,
		gang:    []role{many("worker", 4, apart(leaf, gangLabel, gangName))},
		check:   []step{counts(leaf, 1, 1, 1, 1)},
	},
	{
		name:    "the members require a running pod in their leaf",
		sources: everySource,
		given:   []step{running("store", 5, labelled("app", "store"))},
		gang:    []role{many("worker", 2, large, near(leaf, "app", "store"))},
		check:   []step{stand("worker", 4, 5)},
	},
	{
		name:    "the room of the head is too small for the workers that require it",
		sources: twoSources,
		given:   []step{rooms("a", "a", "b", "b", "c", "c", "", "")},
		gang:    []role{single("head", large), many("worker", 2, large, near(room, roleLabel, "head"))},
		refused: "2 of 3 members fit",
	},
	{
		name:    "members that require one another find the one room that holds them",
		sources: everySource,
		given:   []step{rooms("a", "a", "b", "b", "c", "c", "c", "")},
		gang:    []role{many("worker", 3, large, near(room, gangLabel, gangName))},
		check:   []step{stand("worker", 4, 5, 6)},
	},
	{
		name:  "one room for all members, and a node for each",
		given: []step{rooms("a", "b", "b", "c", "c", "c", "d", "d")},
		gang:  []role{many("worker", 3, near(room, gangLabel, gangName), apart(host, gangLabel, gangName))},
		check: []step{stand("worker", 3, 4, 5)},
	},
	{
		name: "two teams that refuse each other's spine and stay in one each",
		gang: []role{
			many("red", 3, large, near(spine, roleLabel, "red"), apart(spine, roleLabel, "blue")),
			many("blue", 3, large, near(spine, roleLabel, "blue")),
		},
		check: []step{counts(spine, 3, 3)},
	},
}
