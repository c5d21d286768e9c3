// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package audit checks the placements of a workload after its measurement, to reject
// figures of invalid placements. It reads the API once and shares no code with a scheduler.
//
// It checks that:
//
//   - The requests and the number of the pods of a node are within the node's
//     allocatable resources.
//   - Each device is allocated to a single claim, except with admin access or a
//     share ID, and the pod that holds the claim runs on the device's node.
//   - The pods of a gang with a required domain are in a single domain.
//   - A gang has nodes for its quorum or for none of its pods, if no client deletes pods.
//   - Every pod has a node, if the workload waits for all its pods.
//
// Gangs are PodGroups of scheduling.k8s.io. For a scheduler that supports Dovetail's label,
// they are also the gangs of that label. The audit does not check affinity, taints,
// volumes, counters of partitionable devices or nested PodGroups.
package audit
