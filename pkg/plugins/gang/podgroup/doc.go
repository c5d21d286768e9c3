// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package podgroup is the part of the plugin Gang, which places gangs of pods, in the
// scheduler's own cycle for PodGroups of scheduling.k8s.io, where the feature gate
// GenericWorkload is on.
//
// The cycle gets the members of a group. It places them one after the other on a snapshot,
// and then binds all of them or none. Dovetail adds the plan. It plans once per cycle, for
// a PodGroup or for all PodGroups below a CompositePodGroup. It plans in
// GeneratePlacements, or in the PreFilter of the first member if the gate
// TopologyAwareWorkloadScheduling is off.
//
// Preemption repeats a cycle with fewer pods in the cluster, so planning changes no state.
// PodGroupPostFilter, which runs once, records a refusal. Permit of the first member that
// leaves the cycle records a placed gang.
package podgroup
