// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Capacity reads the total amounts of a node, used or free, into the argument, in the order
// in which the planner (which chooses nodes for gangs of pods) numbers resources and device
// kinds. It returns false if they are unknown. Amounts that it cannot count are unlimited:
// pod limits (limits of the devices on the node's number of pods), and, if some devices can
// be used by several nodes, all devices.
func (s *Cache) Capacity(info fwk.NodeInfo, into *plan.Capacity) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if info.Node() == nil {
		return false
	}
	allocatable := info.GetAllocatable()
	scalars := allocatable.GetScalarResources()
	for _, name := range s.layout.Resources {
		switch name := v1.ResourceName(name); name {
		case v1.ResourceCPU:
			into.Resources = append(into.Resources, allocatable.GetMilliCPU())
		case v1.ResourceMemory:
			into.Resources = append(into.Resources, allocatable.GetMemory())
		case v1.ResourceEphemeralStorage:
			into.Resources = append(into.Resources, allocatable.GetEphemeralStorage())
		case v1.ResourcePods:
			into.Resources = append(into.Resources, int64(allocatable.GetAllowedPodNumber()))
		default:
			into.Resources = append(into.Resources, s.scalarCapacity(name, scalars))
		}
	}
	return s.deviceCapacity(info.Node(), scalars, into)
}

// scalarCapacity returns the node's amount of an extended resource, or plan.Unlimited for a
// pod limit.
func (s *Cache) scalarCapacity(name v1.ResourceName, scalars map[v1.ResourceName]int64) int64 {
	if isPodLimit(name) {
		return plan.Unlimited
	}
	return scalars[name]
}

// deviceCapacity adds the numbers of the node's devices, those in use included. It returns
// false if they are unknown.
func (s *Cache) deviceCapacity(node *v1.Node, scalars map[v1.ResourceName]int64, into *plan.Capacity) bool {
	for range s.layout.Kinds {
		into.Kinds = append(into.Kinds, plan.Unlimited)
	}
	if s.view == nil || s.view.MultiNode() {
		return true
	}
	counts, err := s.view.Node(node, scalars)
	if err != nil {
		return false
	}
	for kind := range s.view.Kinds {
		at, total := s.kind[s.view.Kinds[kind].Name], 0
		for _, unit := range counts.Units {
			total += unit.Total[kind]
		}
		into.Kinds[at] = int64(total)
	}
	return true
}
