// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// baseResources are the resources of every node, in the order of the planner's layout
// (its list of resources). CPU is in milli-cores, memory and storage are in bytes.
var baseResources = []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage, v1.ResourcePods}

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
func (s *Cache) resources(pod *v1.Pod, devices map[v1.ResourceName]int64) []int64 {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	maps.DeleteFunc(requests, func(name v1.ResourceName, amount apiresource.Quantity) bool {
		return devices[name] != 0 || amount.IsZero()
	})
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		s.ask(name)
	}
	need := make([]int64, len(s.layout.Resources)+len(s.asked))
	need[s.resource[v1.ResourcePods]] = 1
	for name, amount := range requests {
		if name == v1.ResourceCPU {
			need[s.index(name)] = amount.MilliValue()
		} else {
			need[s.index(name)] = amount.Value()
		}
	}
	return need
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
