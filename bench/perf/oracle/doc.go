// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oracle is a scheduler that chooses nodes without a search. Its throughput is the
// upper bound that the API server, etcd, the scheduler framework and binding set on a
// machine. Planners are compared with it. It is for measurements only. It supports only the
// workloads of this repository and of upstream.
//
// The oracle respects:
//
//   - CPU, memory, number of pods and number of devices: the pod fits on its node.
//     Pods get the nodes in rotation, sorted by name.
//   - Required domains: a gang gets the next domain with room for all its pods. A
//     gang that fits in no domain is refused.
//   - PodGroups of scheduling.k8s.io: the in-tree GangScheduling plugin is enabled
//     and holds their pods back until the quorum exists.
//   - Claims: the in-tree DynamicResources plugin allocates them, because its writes
//     to the API are part of the upper bound. It sees only the slices and allocations
//     of the chosen node, so its own search costs almost nothing.
//
// The oracle omits every other plugin and all scores. It does not wait for the members of a
// gang that is declared by a label.
package oracle
