// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	corev1 "k8s.io/api/core/v1"
)

func atLeast(domains int32) func(*corev1.TopologySpreadConstraint) {
	return func(c *corev1.TopologySpreadConstraint) { c.MinDomains = &domains }
}

func taints(policy corev1.NodeInclusionPolicy) func(*corev1.TopologySpreadConstraint) {
	return func(c *corev1.TopologySpreadConstraint) { c.NodeTaintsPolicy = &policy }
}

func affinity(policy corev1.NodeInclusionPolicy) func(*corev1.TopologySpreadConstraint) {
	return func(c *corev1.TopologySpreadConstraint) { c.NodeAffinityPolicy = &policy }
}

func anyway(c *corev1.TopologySpreadConstraint) { c.WhenUnsatisfiable = corev1.ScheduleAnyway }

var spreadScenes = []scene{
	{
		name:    "spread over nodes, maxSkew 1",
		sources: everySource,
		gang:    []role{many("worker", 8, even(host, 1))},
		check:   []step{counts(host, 1, 1, 1, 1, 1, 1, 1, 1)},
	},
	{
		name:  "spread over rooms of different size, maxSkew 2",
		given: []step{rooms("a", "b", "b", "b", "b", "", "", "")},
		gang:  []role{many("worker", 4, large, even(room, 2), inARoom)},
		check: []step{counts(room, 1, 3)},
	},
	{
		name: "running pods of the same label count for the spread",
		given: []step{
			running("old-a", 0, labelled("team", "web")), running("old-b", 0, labelled("team", "web")),
		},
		gang: []role{many("worker", 4, hosts(0, 1, 2), func(s *stage, p *corev1.Pod) {
			p.Labels["team"] = "web"
			even(host, 1)(s, p)
			p.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels = map[string]string{"team": "web"}
		})},
		check: []step{stand("worker", 1, 1, 2, 2)},
	},
	{
		name:    "minDomains is satisfied by the third room",
		sources: everySource,
		given:   []step{rooms("a", "a", "b", "b", "c", "", "", "")},
		gang:    []role{many("worker", 3, even(room, 1, atLeast(3)), inARoom)},
		check:   []step{counts(room, 1, 1, 1)},
	},
	{
		name:    "fewer rooms than minDomains hold maxSkew members each",
		given:   []step{rooms("a", "a", "b", "b", "", "", "", "")},
		gang:    []role{many("worker", 5, even(room, 2, atLeast(3)), inARoom)},
		refused: "4 of 5 members fit",
	},
	{
		name:  "a tainted room is no domain with nodeTaintsPolicy Honor",
		given: []step{rooms("a", "a", "b", "b", "c", "c", "", ""), tainted(4, 5)},
		gang:  []role{many("worker", 4, even(room, 1, taints(corev1.NodeInclusionPolicyHonor)), inARoom)},
		check: []step{counts(room, 2, 2)},
	},
	{
		name:    "a tainted room is a domain with nodeTaintsPolicy Ignore, until the taint goes the gang waits",
		given:   []step{rooms("a", "a", "b", "b", "c", "c", "", ""), tainted(4, 5)},
		gang:    []role{many("worker", 4, even(room, 1, taints(corev1.NodeInclusionPolicyIgnore)), inARoom)},
		refused: "2 of 4 members fit",
		then:    []step{untainted(4, 5)},
		check:   []step{counts(room, 1, 1, 2)},
	},
	{
		name:    "rooms that the node selector excludes count with nodeAffinityPolicy Ignore",
		given:   []step{rooms("a", "a", "b", "b", "c", "c", "", "")},
		gang:    []role{many("worker", 3, even(room, 1, affinity(corev1.NodeInclusionPolicyIgnore)), hosts(0, 1, 2, 3))},
		refused: "2 of 3 members fit",
	},
	{
		name:  "spread over rooms and over nodes at once",
		given: []step{rooms("a", "a", "a", "b", "b", "", "", "")},
		gang:  []role{many("worker", 5, even(room, 1), even(host, 1), inARoom)},
		check: []step{counts(room, 2, 3), counts(host, 1, 1, 1, 1, 1)},
	},
	{
		name:  "a spread of ScheduleAnyway refuses nobody",
		given: []step{rooms("a", "a", "a", "b", "", "", "", "")},
		gang:  []role{many("worker", 4, large, even(room, 1, anyway), inARoom)},
		check: []step{counts(room, 1, 3)},
	},
	{
		name:  "spread over rooms and required anti-affinity between the roles",
		given: []step{rooms("a", "a", "b", "b", "", "", "", "")},
		gang: []role{
			many("server", 2, large, even(room, 1), inARoom, apart(host, roleLabel, "client")),
			many("client", 2, large, even(room, 1), inARoom),
		},
		check: []step{counts(room, 2, 2), counts(host, 1, 1, 1, 1)},
	},
}
