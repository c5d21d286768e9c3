// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oracle is a scheduler that knows: it has a node for every pod without
// looking for one. What it reaches with a workload is the ceiling that the API
// server, etcd, the scheduler's own machinery and binding leave on a machine, so
// it is what planning is compared with. It is for measurements only: it knows the
// shapes of the workloads here and of upstream's, and no others.
//
// What it keeps of scheduling:
//
//   - The node is one where the pod really fits, by CPU, memory, number of pods and
//     number of devices. Nodes are taken in turn, in the order of their names.
//   - A gang that must stay in one domain gets the next domain with room for all of
//     it, and one that fits in none is refused.
//   - PodGroups of scheduling.k8s.io keep the in-tree GangScheduling plugin, which
//     holds their pods back until there are enough.
//   - Claims are allocated by the in-tree DynamicResources plugin, since what it
//     writes to the API is part of the ceiling. It is shown the slices of the one
//     node and what is in use there, so that its own search costs nothing.
//
// What it leaves out: every other plugin, and all scores. Gangs that are declared by
// a label are pods like any other to it: nothing waits for anything.
package oracle
