// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// baseResources are the resources of every node, in the order of the planner's layout
// (its list of resources). CPU is in milli-cores, memory and storage are in bytes.
var baseResources = []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage, v1.ResourcePods}

// meetResources adds new extended resources of the changed nodes to the planner's layout.
// It reports whether it added any.
func (s *Cache) meetResources(changed []int) (bool, error) {
	before := len(s.layout.Resources)
	for _, i := range changed {
		if scalar := s.seen[i].info.GetAllocatable().GetScalarResources(); len(scalar) > 0 {
			s.addResources(slices.Sorted(maps.Keys(scalar)))
		}
	}
	if len(s.layout.Resources) == before {
		return false, nil
	}
	return true, s.grow()
}

func (s *Cache) addResources(names []v1.ResourceName) {
	for _, name := range names {
		if _, known := s.resource[name]; !known {
			s.resource[name] = len(s.layout.Resources)
			s.layout.Resources = append(s.layout.Resources, string(name))
		}
	}
}

func (s *Cache) grow() error {
	if err := s.state.Grow(s.layout); err != nil {
		return fmt.Errorf("growing the planner's layout: %w", err)
	}
	for i := range s.seen {
		s.seen[i].generation = 0 // any node may have the new resources
	}
	return nil
}

// free returns the node's free amounts, by the resources' index in the planner's layout.
func (s *Cache) free(info fwk.NodeInfo) []int64 {
	allocatable, requested := info.GetAllocatable(), info.GetRequested()
	free := make([]int64, len(s.layout.Resources))
	free[s.resource[v1.ResourceCPU]] = allocatable.GetMilliCPU() - requested.GetMilliCPU()
	free[s.resource[v1.ResourceMemory]] = allocatable.GetMemory() - requested.GetMemory()
	free[s.resource[v1.ResourceEphemeralStorage]] = allocatable.GetEphemeralStorage() - requested.GetEphemeralStorage()
	free[s.resource[v1.ResourcePods]] = int64(allocatable.GetAllowedPodNumber() - len(info.GetPods()))
	used := requested.GetScalarResources()
	for name, amount := range allocatable.GetScalarResources() {
		free[s.resource[name]] = amount - used[name]
	}
	return free
}

// resources returns the pod's requests, by the resources' index in the planner's layout.
// It omits the extended resources in devices: DRA devices serve those.
func (s *Cache) resources(pod *v1.Pod, devices map[v1.ResourceName]int64) ([]int64, error) {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	before := len(s.layout.Resources)
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		if amount := requests[name]; devices[name] == 0 && !amount.IsZero() {
			s.addResources([]v1.ResourceName{name})
		}
	}
	if len(s.layout.Resources) > before {
		if err := s.grow(); err != nil {
			return nil, err
		}
	}
	need := make([]int64, len(s.layout.Resources))
	need[s.resource[v1.ResourcePods]] = 1
	for name, amount := range requests {
		i, known := s.resource[name]
		switch {
		case !known || devices[name] != 0:
		case name == v1.ResourceCPU:
			need[i] = amount.MilliValue()
		default:
			need[i] = amount.Value()
		}
	}
	return need, nil
}

// RequestsDevices reports whether the pod has resource claims or requests extended
// resources.
func RequestsDevices(pod *v1.Pod) bool {
	if len(pod.Spec.ResourceClaims) > 0 {
		return true
	}
	for name := range resource.PodRequests(pod, resource.PodResourcesOptions{}) {
		if v1helper.IsExtendedResourceName(name) {
			return true
		}
	}
	return false
}
