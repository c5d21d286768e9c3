// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/component-helpers/resource"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// UsageOf returns what a pod takes of its node, in the numbers of the last Read: what becomes
// free when the pod ends. It leaves out shares of devices, devices that several nodes can use,
// and the limits of devices on a node's number of pods.
func (s *Cache) UsageOf(pod *v1.Pod, node string) plan.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := plan.Usage{Node: node, Resources: make([]int64, len(s.layout.Resources))}
	u.Resources[s.resource[v1.ResourcePods]] = 1
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	for name, amount := range requests {
		switch i, known := s.resource[name]; {
		case !known:
		case name == v1.ResourceCPU:
			u.Resources[i] = amount.MilliValue()
		default:
			u.Resources[i] = amount.Value()
		}
	}
	if s.view != nil {
		u.Units = s.unitsOf(pod, node, requests)
	}
	return u
}

// unitsOf counts the pod's devices by alignment unit (devices that are close to each other).
func (s *Cache) unitsOf(pod *v1.Pod, node string, requests v1.ResourceList) []plan.Unit {
	ids := s.devices.heldBy(pod)
	counts := s.devices.inventory.CountOn(node, ids)
	if counts == nil {
		counts = [][]int{make([]int, len(s.view.Kinds))}
	}
	for kind := range s.view.Kinds {
		if name := s.view.Kinds[kind].Plugin; name != "" {
			amount := requests[name]
			counts[len(counts)-1][kind] = int(amount.Value())
		}
	}
	units := make([]plan.Unit, len(counts))
	for u := range counts {
		units[u].Free = make([]int, len(s.layout.Kinds))
		for kind, n := range counts[u] {
			units[u].Free[s.kind[s.view.Kinds[kind].Name]] = n
		}
	}
	return units
}

// heldBy returns the whole devices that are allocated to the pod's claims.
func (d *Devices) heldBy(pod *v1.Pod) sets.Set[structured.DeviceID] {
	ids := sets.New[structured.DeviceID]()
	for _, name := range claimNames(pod) {
		claim, err := d.manager.ResourceClaims().Get(pod.Namespace, name)
		if err != nil || len(claim.Status.ReservedFor) > 1 && claim.Status.ReservedFor[0].UID != pod.UID {
			continue // one pod of several that share a claim counts for all
		}
		allocation := claim.Status.Allocation
		if allocation == nil {
			allocation = d.pending(claim)
		}
		if allocation == nil {
			continue
		}
		for i := range allocation.Devices.Results {
			if result := &allocation.Devices.Results[i]; result.ShareID == nil && (result.AdminAccess == nil || !*result.AdminAccess) {
				ids.Insert(structured.MakeDeviceID(result.Driver, result.Pool, result.Device))
			}
		}
	}
	return ids
}

// Named converts what a plan leaves free on a node, which has numbers of the last Read, to names
// of resources and device kinds.
func (s *Cache) Named(spare *plan.Spare) gangs.Capacity {
	s.mu.Lock()
	defer s.mu.Unlock()
	named := gangs.Capacity{Resources: map[string]int64{}}
	for i, amount := range spare.Resources {
		if amount > 0 && i < len(s.layout.Resources) {
			named.Resources[s.layout.Resources[i]] = amount
		}
	}
	for name, kind := range s.kind {
		if kind < len(spare.Kinds) && spare.Kinds[kind] > 0 {
			named.Devices = append(named.Devices, gangs.HeldDevices{Count: int(spare.Kinds[kind]), Kinds: []string{name}})
		}
	}
	return named
}

// Times returns how many pods with this need, of the last Read, the capacity holds.
func (s *Cache) Times(need *plan.Need, capacity *gangs.Capacity) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	spare := plan.Spare{Resources: make([]int64, len(s.layout.Resources)), Kinds: make([]int64, len(s.layout.Kinds))}
	for name, amount := range capacity.Resources {
		if i, known := s.resource[v1.ResourceName(name)]; known {
			spare.Resources[i] = amount
		}
	}
	for _, held := range capacity.Devices {
		if kind, known := s.kind[held.Kinds[0]]; known {
			spare.Kinds[kind] += int64(held.Count)
		}
	}
	return spare.Times(need)
}
