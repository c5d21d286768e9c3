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

// holding is what the allocation of one claim holds: whole devices, and shares of other
// devices.
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

// ledger records the devices in use. It has two sources: the state that the scheduler's
// claim tracker (ResourceClaimTracker) gathers, and the allocations of single claims. A
// device is in use if either source lists it.
type ledger struct {
	gathered structured.AllocatedState
	claims   map[types.UID]holding
	// held has, by device, the number of single claims that hold the whole device. shared
	// has, by device and single claim, the shares of the device that the claim holds.
	held   map[structured.DeviceID]int
	shared map[structured.DeviceID]map[types.UID][]share
	// freed are claims whose devices count as free. It is nil in the ledger of an inventory
	// and set in the copies that WithoutClaims makes.
	freed *ClaimSet
}

func newLedger() ledger {
	return ledger{
		claims: map[types.UID]holding{},
		held:   map[structured.DeviceID]int{},
		shared: map[structured.DeviceID]map[types.UID][]share{},
	}
}

// holdingOf returns the devices that an allocation holds. Requests with admin access hold
// none.
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

// ids returns the devices of which the holding has the whole or a share.
func (h *holding) ids() []structured.DeviceID {
	ids := append([]structured.DeviceID(nil), h.devices...)
	for _, s := range h.shares {
		ids = append(ids, s.device)
	}
	return ids
}

// whole returns true if the holding has only whole devices, no shares.
func (h *holding) whole() bool { return len(h.shares) == 0 }

// hold sets the devices that a claim holds. It returns the devices whose allocation may
// have changed.
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

// gather replaces the recorded state of the scheduler's claim tracker. It returns the
// devices whose allocation may have changed.
func (l *ledger) gather(state structured.AllocatedState) []structured.DeviceID {
	before := l.gathered
	l.gathered = state
	var changed []structured.DeviceID
	for id := range state.AllocatedDevices {
		if !before.AllocatedDevices.Has(id) {
			changed = append(changed, id)
		}
	}
	// Look for removed devices only if the numbers of devices show that there are some.
	if len(before.AllocatedDevices)+len(changed) != len(state.AllocatedDevices) {
		for id := range before.AllocatedDevices {
			if !state.AllocatedDevices.Has(id) {
				changed = append(changed, id)
			}
		}
	}
	// Return all shared devices as changed. They are few, and counting them again costs
	// less than comparing their shares.
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
	return l.gathered.AllocatedDevices.Has(id) || l.held[id] > l.freed.holders(l, id)
}

// partlyInUse returns true if a claim holds a share of the device.
func (l *ledger) partlyInUse(id structured.DeviceID) bool {
	if _, ok := l.gathered.AggregatedCapacity[id]; ok {
		return true
	}
	for claim := range l.shared[id] {
		if !l.freed.Has(claim) {
			return true
		}
	}
	for shared := range l.gathered.AllocatedSharedDeviceIDs {
		if shared.GetDeviceID() == id {
			return true
		}
	}
	return false
}

// used returns the capacity that allocations consume of a shared device. The claim
// tracker's state and the single claims may have the same share, so the result is the larger
// of the two sums.
func (l *ledger) used(id structured.DeviceID) amounts {
	sum := amounts{}
	for claim, shares := range l.shared[id] {
		if l.freed.Has(claim) {
			continue
		}
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

// emptyState returns the claim tracker's state for a new inventory: no device is
// allocated.
func emptyState() structured.AllocatedState {
	return structured.AllocatedState{AllocatedDevices: sets.New[structured.DeviceID]()}
}
