// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package podgroup is Gang's part in the scheduler's own cycle for PodGroups of
// scheduling.k8s.io, where the feature gate GenericWorkload is on.
//
// The cycle brings the members of a group, places them one after the other on a snapshot of
// its own, and hands all of them to their bindings or none. Dovetail adds the plan. It is
// made once in a cycle, for a PodGroup or for all PodGroups below a CompositePodGroup: in
// GeneratePlacements, or in the PreFilter of the first member where the gate
// TopologyAwareWorkloadScheduling is off. Preemption repeats a cycle with fewer pods in the
// cluster, so a plan changes no state: refusals are recorded in PodGroupPostFilter, which
// comes once, and a placed gang is recorded when its first member leaves the cycle.
package podgroup
