// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"slices"
	"sync"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// Another scheduler that uses the same nodes may allocate a device at the same time as this
// one: neither knows the other's pending allocations. This scheduler cannot prevent that, but
// the claims show it afterwards.

// deviceName identifies a device.
type deviceName struct{ driver, pool, device string }

// allocations has the claims that hold each device, as the informer shows them. It is safe
// for concurrent use.
type allocations struct {
	mu       sync.RWMutex
	byDevice map[deviceName][]*holder
	byClaim  map[types.UID]*holder
	// twice is the number of devices that several claims hold.
	twice int
}

// holder is a claim that holds devices.
type holder struct {
	uid     types.UID
	claim   types.NamespacedName
	devices []deviceName
}

func newAllocations() *allocations {
	return &allocations{byDevice: map[deviceName][]*holder{}, byClaim: map[types.UID]*holder{}}
}

// wholeDevices returns the devices of an allocation that no other claim may use, not even in
// part. It omits devices with admin access and shareable devices.
func wholeDevices(allocation *resourceapi.AllocationResult) []deviceName {
	if allocation == nil {
		return nil
	}
	var names []deviceName
	for i := range allocation.Devices.Results {
		result := &allocation.Devices.Results[i]
		if ptr.Deref(result.AdminAccess, false) || result.ShareID != nil || len(result.ConsumedCapacity) > 0 {
			continue
		}
		names = append(names, deviceName{driver: result.Driver, pool: result.Pool, device: result.Device})
	}
	return names
}

// follow returns the event handler for the informer of claims. It keeps a up to date.
func (a *allocations) follow() cache.ResourceEventHandler {
	return claimHandler(
		func(claim *resourceapi.ResourceClaim) { a.set(claim, wholeDevices(claim.Status.Allocation)) },
		func(claim *resourceapi.ResourceClaim) { a.set(claim, nil) },
	)
}

// set records the devices that the claim holds.
func (a *allocations) set(claim *resourceapi.ResourceClaim, devices []deviceName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.byClaim[claim.UID]
	if before == nil && len(devices) == 0 || before != nil && slices.Equal(before.devices, devices) {
		return // most changes of a claim do not change its devices
	}
	if before != nil {
		delete(a.byClaim, claim.UID)
		for _, name := range before.devices {
			a.remove(name, before)
		}
	}
	if len(devices) > 0 {
		now := &holder{uid: claim.UID, claim: types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}, devices: devices}
		a.byClaim[claim.UID] = now
		for _, name := range devices {
			a.add(name, now)
		}
	}
	metrics.AllocatedTwice(a.twice)
}

func (a *allocations) add(name deviceName, now *holder) {
	a.byDevice[name] = append(a.byDevice[name], now)
	if len(a.byDevice[name]) == 2 {
		a.twice++
	}
}

func (a *allocations) remove(name deviceName, before *holder) {
	left := slices.DeleteFunc(a.byDevice[name], func(other *holder) bool { return other == before })
	if len(left) == 1 {
		a.twice--
	}
	if a.byDevice[name] = left; len(left) == 0 {
		delete(a.byDevice, name)
	}
}

// other returns a device of the claim's allocation that another claim has too, and that claim.
// stillHolds reports whether the other claim still has the device.
func (a *allocations) other(uid types.UID, allocation *resourceapi.AllocationResult, stillHolds func(claim types.NamespacedName, uid types.UID, device deviceName) bool) (deviceName, types.NamespacedName, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, name := range wholeDevices(allocation) {
		for _, of := range a.byDevice[name] {
			if of.uid != uid && stillHolds(of.claim, of.uid, name) {
				return name, of.claim, true
			}
		}
	}
	return deviceName{}, types.NamespacedName{}, false
}
