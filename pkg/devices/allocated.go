// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
)

// noneAllocated returns an allocation state in which every device is free.
func noneAllocated() *structured.AllocatedState {
	return &structured.AllocatedState{
		AllocatedDevices:         sets.New[structured.DeviceID](),
		AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
		AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
	}
}

// gatherPool adds a pool's allocated devices, and the shares of its shared devices, to the
// state passed as into. It includes devices of slices of older generations.
func (l *ledger) gatherPool(p *pool, into *structured.AllocatedState) {
	for _, slice := range p.slices {
		for i := range slice.Spec.Devices {
			l.gatherDevice(structured.MakeDeviceID(p.key.driver, p.key.name, slice.Spec.Devices[i].Name), into)
		}
	}
}

func (l *ledger) gatherDevice(id structured.DeviceID, into *structured.AllocatedState) {
	if l.inUse(id) {
		into.AllocatedDevices.Insert(id)
	}
	l.gatherShares(id, into)
	if taken, ok := l.gathered.AggregatedCapacity[id]; ok {
		into.AggregatedCapacity.Insert(structured.DeviceConsumedCapacity{DeviceID: id, ConsumedCapacity: taken})
	}
	for shared := range l.gathered.AllocatedSharedDeviceIDs {
		if shared.GetDeviceID() == id {
			into.AllocatedSharedDeviceIDs.Insert(shared)
		}
	}
}

func (s *share) gather(into *structured.AllocatedState) {
	into.AllocatedSharedDeviceIDs.Insert(structured.MakeSharedDeviceID(s.device, s.id))
	if s.taken != nil {
		into.AggregatedCapacity.Insert(structured.NewDeviceConsumedCapacity(s.device, s.taken))
	}
}

// everything returns all allocations: those of the scheduler's claim tracker (gathered)
// and those recorded claim by claim (held and shared).
func (l *ledger) everything() *structured.AllocatedState {
	all := noneAllocated()
	maps.Copy(all.AllocatedDevices, l.gathered.AllocatedDevices)
	maps.Copy(all.AllocatedSharedDeviceIDs, l.gathered.AllocatedSharedDeviceIDs)
	for id, taken := range l.gathered.AggregatedCapacity {
		all.AggregatedCapacity.Insert(structured.DeviceConsumedCapacity{DeviceID: id, ConsumedCapacity: taken})
	}
	for id, holders := range l.held {
		if holders > l.freed.holders(l, id) {
			all.AllocatedDevices.Insert(id)
		}
	}
	for id := range l.shared {
		l.gatherShares(id, all)
	}
	return all
}

// gatherShares adds the shares of a device that single claims hold.
func (l *ledger) gatherShares(id structured.DeviceID, into *structured.AllocatedState) {
	for claim, shares := range l.shared[id] {
		if l.freed.Has(claim) {
			continue
		}
		for i := range shares {
			shares[i].gather(into)
		}
	}
}
