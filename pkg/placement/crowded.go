// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"maps"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Crowded returns the nodes that a pod without a gang must not use: those in avoid, and those on
// which it would take what is held for gangs. A pod with resource claims uses no node with held
// devices.
func Crowded(pod *v1.Pod, nodes []fwk.NodeInfo, holds []gangs.Hold, avoid map[string]bool) map[string]bool {
	if len(holds) == 0 {
		return avoid
	}
	needs, devices := map[string]map[string]int64{}, map[string]bool{}
	for i := range holds {
		hold := &holds[i]
		if needs[hold.Node] == nil {
			needs[hold.Node] = map[string]int64{}
		}
		for name, amount := range hold.Need.Resources {
			needs[hold.Node][name] += amount
		}
		devices[hold.Node] = devices[hold.Node] || len(hold.Need.Devices) > 0
	}
	requests := requestsOf(pod)
	crowded := maps.Clone(avoid)
	for _, info := range nodes {
		if info.Node() == nil {
			continue
		}
		name := info.Node().Name
		held, holds := needs[name]
		if holds && (devices[name] && len(pod.Spec.ResourceClaims) > 0 || !fitsBeside(requests, held, info)) {
			if crowded == nil {
				crowded = map[string]bool{}
			}
			crowded[name] = true
		}
	}
	return crowded
}

// requestsOf returns the pod's requests by the names and in the units of gangs.Capacity.
func requestsOf(pod *v1.Pod) map[string]int64 {
	requests := map[string]int64{string(v1.ResourcePods): 1}
	for name, amount := range resource.PodRequests(pod, resource.PodResourcesOptions{}) {
		requests[string(name)] = amount.Value()
		if name == v1.ResourceCPU {
			requests[string(name)] = amount.MilliValue()
		}
	}
	return requests
}

// fitsBeside reports whether the free amounts of a node suffice for requests and for what is held
// there.
func fitsBeside(requests, held map[string]int64, info fwk.NodeInfo) bool {
	allocatable, requested := info.GetAllocatable(), info.GetRequested()
	free := map[string]int64{
		string(v1.ResourceCPU):              allocatable.GetMilliCPU() - requested.GetMilliCPU(),
		string(v1.ResourceMemory):           allocatable.GetMemory() - requested.GetMemory(),
		string(v1.ResourceEphemeralStorage): allocatable.GetEphemeralStorage() - requested.GetEphemeralStorage(),
		string(v1.ResourcePods):             int64(allocatable.GetAllowedPodNumber() - len(info.GetPods())),
	}
	for name, amount := range allocatable.GetScalarResources() {
		free[string(name)] = amount - requested.GetScalarResources()[name]
	}
	for name, amount := range requests {
		if amount > 0 && held[name] > 0 && free[name] < amount+held[name] {
			return false
		}
	}
	return true
}
