// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Alignment counts the GPUs and RDMA NICs allocated to a pod, and the NICs that are far
// from the GPUs.
type Alignment struct {
	GPUs, NICs int
	// Unpaired counts the NICs without a GPU in their alignment unit (devices that are
	// close to each other), Crossing those of them that have none on their NUMA node
	// either. A GPU pairs with its share of the pod's NICs.
	Unpaired, Crossing int
}

// Alignment returns the alignment of a pod's allocated devices on a node. It ignores
// devices that are not in the inventory.
func (inv *Inventory) Alignment(node string, allocations []*resourceapi.AllocationResult) Alignment {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	n := inv.node(node)
	if n == nil {
		return Alignment{}
	}
	taken := make([]Taken, len(n.units))
	var a Alignment
	for _, allocation := range allocations {
		held := holdingOf(allocation)
		for _, id := range held.ids() {
			i := slices.IndexFunc(n.devices, func(d *device) bool { return d.id == id })
			switch {
			case i < 0:
			case n.devices[i].gpu:
				a.GPUs++
				taken[n.devices[i].unit].GPUs++
			case n.devices[i].rdma:
				a.NICs++
				taken[n.devices[i].unit].NICs++
			}
		}
	}
	a.count(n.units, taken)
	return a
}

// count counts the NICs beyond the share of the GPUs in their alignment unit, and the
// NICs beyond the share of the GPUs on their NUMA node. taken has the pod's devices by
// unit.
func (a *Alignment) count(units []unitInfo, taken []Taken) {
	share := 1
	if a.GPUs > 0 {
		share = max(1, (a.NICs+a.GPUs-1)/a.GPUs)
	}
	byNUMA := map[int]int{}
	for i, unitTaken := range taken {
		room := unitTaken.GPUs * share
		if units[i].numa != unknownNUMA {
			byNUMA[units[i].numa] += unitTaken.NICs - room
		}
		if i == len(units)-1 {
			room = 0 // the last unit has the devices in no other unit, which are never paired
		}
		a.Unpaired += max(0, unitTaken.NICs-room)
	}
	for _, over := range byNUMA {
		a.Crossing += max(0, over)
	}
}

// FindDuplicate returns a whole device that is in more than one of the allocations, or
// twice in the same allocation. It returns false if there is none.
func FindDuplicate(allocations []*resourceapi.AllocationResult) (structured.DeviceID, bool) {
	seen := sets.New[structured.DeviceID]()
	for _, allocation := range allocations {
		held := holdingOf(allocation)
		for _, id := range held.devices {
			if seen.Has(id) {
				return id, true
			}
			seen.Insert(id)
		}
	}
	return structured.DeviceID{}, false
}
