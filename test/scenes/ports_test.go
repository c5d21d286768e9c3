// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	corev1 "k8s.io/api/core/v1"
)

var portScenes = []scene{
	{
		name:    "a small head and seven workers use one host port, so each has a node of its own",
		sources: twoSources,
		gang:    []role{single("head", cpu(8), port(9000)), many("worker", 7, large, port(9000))},
		check:   []step{counts(host, 1, 1, 1, 1, 1, 1, 1, 1)},
	},
	{
		name: "the same port number of TCP and UDP is no conflict",
		gang: []role{single("tcp", port(9000), hosts(0)), single("udp", portOf(9000, corev1.ProtocolUDP, ""), hosts(0))},
	},
	{
		name: "a port on two addresses of a node is no conflict",
		gang: []role{
			single("inner", portOf(9000, corev1.ProtocolTCP, "10.0.0.1"), hosts(0)),
			single("outer", portOf(9000, corev1.ProtocolTCP, "10.0.0.2"), hosts(0)),
		},
	},
	{
		name: "a port on all addresses excludes the same port on one address",
		gang: []role{
			single("all", port(9000), hosts(0)),
			single("inner", portOf(9000, corev1.ProtocolTCP, "10.0.0.1"), hosts(0)),
		},
		refused: "1 of 2 members fit",
	},
	{
		name:    "a running pod has the port of the members on one node",
		sources: everySource,
		given:   []step{running("exporter", 2, port(9000))},
		gang:    []role{many("worker", 7, port(9000))},
		check:   []step{stand("worker", 0, 1, 3, 4, 5, 6, 7)},
	},
	{
		name: "two roles share one of their two ports, a third role has a free port",
		gang: []role{
			single("head", port(9000), port(9001), hosts(0, 1, 2, 3)),
			many("worker", 3, port(9001), port(9002), hosts(0, 1, 2, 3)),
			many("store", 4, port(9003), hosts(0, 1, 2, 3)),
		},
		check: []step{counts(host, 2, 2, 2, 2)},
	},
	{
		name:  "host ports and spread over rooms",
		given: []step{rooms("a", "a", "a", "b", "b", "b", "", "")},
		gang:  []role{many("worker", 4, port(9000), even(room, 1), inARoom)},
		check: []step{counts(room, 2, 2), counts(host, 1, 1, 1, 1)},
	},
	{
		name: "a port of the head and anti-affinity of the workers leave it one node",
		gang: []role{
			single("head", port(9000), hosts(0, 1, 2, 3)),
			many("proxy", 2, port(9000), hosts(1, 2)),
			single("store", apart(host, roleLabel, "head"), hosts(3)),
		},
		check: []step{stand("head", 0)},
	},
	{
		name:    "nine members with one port on eight nodes are refused",
		sources: everySource,
		gang:    []role{many("worker", 9, port(9000))},
		refused: "8 of 9 members fit",
	},
}
