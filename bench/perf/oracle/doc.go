// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oracle is a scheduler that chooses nodes without a search. Its throughput
// is the ceiling that the API server, etcd, the scheduler framework and binding
// leave on a machine, so planners are compared with it. It is for measurements
// only. It supports the workloads of this repository and upstream's, and no others.
//
// The oracle respects:
//
//   - CPU, memory, number of pods and number of devices: the pod fits on its node.
//     Pods get the nodes in turn, sorted by name.
//   - Required domains: a gang gets the next domain with room for all its pods. A
//     gang that fits in no domain is refused.
//   - PodGroups of scheduling.k8s.io: the in-tree GangScheduling plugin is enabled
//     and holds their pods back until the quorum exists.
//   - Claims: the in-tree DynamicResources plugin allocates them, because its writes
//     to the API are part of the ceiling. It sees the slices and allocations of the
//     chosen node only, so its own search costs almost nothing.
//
// The oracle leaves out every other plugin and all scores. It does not wait for the
// members of a gang that is declared by a label.
package oracle
