// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package audit looks at what a workload left behind and says what no scheduler
// may have done, so that no figure comes from placements that do not hold. It
// reads the API once, after the measurement, and shares no code with a scheduler.
//
// What it demands:
//
//   - The requests of the pods of a node, summed up, and their number are within
//     what the node has.
//   - A device stands in the allocation of one claim, except with admin access or
//     a share id, and the pod that holds the claim is where the device is.
//   - The pods of a gang that names a required domain are in one.
//   - Where nobody takes pods away, a gang holds as many nodes as its minimum, or
//     none; and where the workload waits for all its pods, all have a node.
//
// Gangs are PodGroups of scheduling.k8s.io and, for a scheduler that knows it,
// Dovetail's label. Affinity, taints, volumes, counters of partitionable devices
// and PodGroups inside others are not looked at.
package audit
