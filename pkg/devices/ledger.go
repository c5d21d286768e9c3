// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
)

// amounts are quantities by capacity name.
type amounts = map[resourceapi.QualifiedName]resource.Quantity

// holding is the allocation of one claim: whole devices and shares of other devices.
type holding struct {
	devices []structured.DeviceID
	shares  []share
}

type share struct {
	device structured.DeviceID
	// id distinguishes the shares of one device.
	id    *types.UID
	taken amounts
}

// ledger records the devices in use. It has two sources: the state gathered by the
// scheduler's claim tracker, and single claims. A device is in use if either source lists
// it.
type ledger struct {
	gathered structured.AllocatedState
	claims   map[types.UID]holding
	// held counts the claims that hold a device. shared lists the claims' shares of a
	// device.
	held   map[structured.DeviceID]int
	shared map[structured.DeviceID]map[types.UID][]share
}

func newLedger() ledger {
	return ledger{
		claims: map[types.UID]holding{},
		held:   map[structured.DeviceID]int{},
		shared: map[structured.DeviceID]map[types.UID][]share{},
	}
}

// holdingOf reads an allocation. Requests with admin access hold no device.
func holdingOf(allocation *resourceapi.AllocationResult) holding {
	var h holding
	if allocation == nil {
		return h
	}
	for i := range allocation.Devices.Results {
		result := &allocation.Devices.Results[i]
		if result.AdminAccess != nil && *result.AdminAccess {
			continue
		}
		id := structured.MakeDeviceID(result.Driver, result.Pool, result.Device)
		if result.ShareID == nil {
			h.devices = append(h.devices, id)
			continue
		}
		h.shares = append(h.shares, share{device: id, id: result.ShareID, taken: result.ConsumedCapacity})
	}
	return h
}

// ids lists all whole and shared devices of the holding.
func (h *holding) ids() []structured.DeviceID {
	ids := append([]structured.DeviceID(nil), h.devices...)
	for _, s := range h.shares {
		ids = append(ids, s.device)
	}
	return ids
}

// whole returns true if no device is shared.
func (h *holding) whole() bool { return len(h.shares) == 0 }

// hold sets the holding of a claim. It returns the devices whose state may have changed.
func (l *ledger) hold(claim types.UID, now holding) []structured.DeviceID {
	before := l.claims[claim]
	if before.whole() && now.whole() && slices.Equal(before.devices, now.devices) {
		return nil // most changes of a claim do not change its devices
	}
	for _, id := range before.devices {
		if l.held[id]--; l.held[id] == 0 {
			delete(l.held, id)
		}
	}
	for _, s := range before.shares {
		if delete(l.shared[s.device], claim); len(l.shared[s.device]) == 0 {
			delete(l.shared, s.device)
		}
	}
	delete(l.claims, claim)
	for _, id := range now.devices {
		l.held[id]++
	}
	for _, s := range now.shares {
		if l.shared[s.device] == nil {
			l.shared[s.device] = map[types.UID][]share{}
		}
		l.shared[s.device][claim] = append(l.shared[s.device][claim], s)
	}
	if len(now.devices)+len(now.shares) > 0 {
		l.claims[claim] = now
	}
	return append(before.ids(), now.ids()...)
}

// gather replaces the tracker's state. It returns the devices whose state may have changed.
func (l *ledger) gather(state structured.AllocatedState) []structured.DeviceID {
	before := l.gathered
	l.gathered = state
	var changed []structured.DeviceID
	for id := range state.AllocatedDevices {
		if !before.AllocatedDevices.Has(id) {
			changed = append(changed, id)
		}
	}
	// The sizes show whether there are removed devices to look up.
	if len(before.AllocatedDevices)+len(changed) != len(state.AllocatedDevices) {
		for id := range before.AllocatedDevices {
			if !state.AllocatedDevices.Has(id) {
				changed = append(changed, id)
			}
		}
	}
	// Shared devices are few. Counting them again costs less than comparing their shares.
	for _, of := range []structured.AllocatedState{before, state} {
		for id := range of.AllocatedSharedDeviceIDs {
			changed = append(changed, id.GetDeviceID())
		}
		for id := range of.AggregatedCapacity {
			changed = append(changed, id)
		}
	}
	return changed
}

// inUse returns true if a claim holds the whole device.
func (l *ledger) inUse(id structured.DeviceID) bool {
	return l.gathered.AllocatedDevices.Has(id) || l.held[id] > 0
}

// partlyInUse returns true if a claim holds a share of the device.
func (l *ledger) partlyInUse(id structured.DeviceID) bool {
	if _, ok := l.gathered.AggregatedCapacity[id]; ok {
		return true
	}
	if len(l.shared[id]) > 0 {
		return true
	}
	for shared := range l.gathered.AllocatedSharedDeviceIDs {
		if shared.GetDeviceID() == id {
			return true
		}
	}
	return false
}

// used sums the consumed capacity of a shared device. Both sources may have the same share;
// the larger sum counts.
func (l *ledger) used(id structured.DeviceID) amounts {
	sum := amounts{}
	for _, shares := range l.shared[id] {
		for i := range shares {
			for name, amount := range shares[i].taken {
				total := sum[name]
				total.Add(amount)
				sum[name] = total
			}
		}
	}
	for name, amount := range l.gathered.AggregatedCapacity[id] {
		if mine := sum[name]; mine.Cmp(*amount) < 0 {
			sum[name] = amount.DeepCopy()
		}
	}
	return sum
}

// emptyState is the gathered state of a new inventory.
func emptyState() structured.AllocatedState {
	return structured.AllocatedState{AllocatedDevices: sets.New[structured.DeviceID]()}
}
