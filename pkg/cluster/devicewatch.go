// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Published reads ResourceSlices from the API server through an informer's store. When
// SliceChanged is called, the store must already have the change.
type Published interface {
	// Slice returns the slice with that name, or nil if there is none.
	Slice(name string) (*resourceapi.ResourceSlice, error)
	// Slices returns all slices.
	Slices() ([]*resourceapi.ResourceSlice, error)
	// Ruled reports whether DeviceTaintRules exist. Slice and Slices leave out their taints.
	Ruled() bool
	// Synced reports whether the informer has delivered all existing objects.
	Synced() bool
}

// claimNews is a change of a claim. It stays queued until the scheduler's claim tracker
// shows the change: the tracker has its own informer.
type claimNews struct {
	name types.NamespacedName
	// version is the least resource version that includes the change, 0 for any.
	version int64
	// gone is set if the claim was deleted.
	gone bool
}

// Follow makes Sync, which brings the device counts up to date, apply single changes instead
// of reading all slices and claims, once published is synced. Every plugin of this process
// that allocates devices must then call ClaimAssumed; whole reports whether all of them do.
func (d *Devices) Follow(published Published, whole func() bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.published, d.whole = published, whole
}

// SliceChanged records that a ResourceSlice was added, changed or deleted.
func (d *Devices) SliceChanged(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.following || d.listed: // the next Sync lists all slices
	case len(d.slices) >= maxSliceNews:
		d.listed = true
		clear(d.slices)
	default:
		d.slices[name] = true
	}
}

// maxSliceNews is the maximum number of changed slices that are queued between two calls of
// Sync. With more, the next Sync lists all slices.
const maxSliceNews = 4096

// ClaimChanged records the state of a claim in the API server.
func (d *Devices) ClaimChanged(claim *resourceapi.ResourceClaim) {
	d.news(claim.UID, claimNews{name: nameOf(claim), version: versionOf(claim)})
}

// ClaimDeleted records that a claim was deleted from the API server.
func (d *Devices) ClaimDeleted(claim *resourceapi.ResourceClaim) {
	d.news(claim.UID, claimNews{name: nameOf(claim), gone: true})
}

// ClaimAssumed records that the scheduler's claim tracker assumed a new state of a claim,
// such as an allocation that is not in the API server yet.
func (d *Devices) ClaimAssumed(claim *resourceapi.ResourceClaim) {
	if owner := metav1.GetControllerOfNoCopy(claim); claim.ResourceVersion == "" && owner != nil {
		d.mu.Lock()
		d.extended[owner.UID] = claim.UID
		d.mu.Unlock()
	}
	d.news(claim.UID, claimNews{name: nameOf(claim)})
}

// ClaimReleased records that the claim tracker may have dropped a claim's pending
// allocation.
func (d *Devices) ClaimReleased(uid types.UID) {
	d.mu.Lock()
	maps.DeleteFunc(d.extended, func(_, claim types.UID) bool { return claim == uid })
	d.mu.Unlock()
	d.news(uid, claimNews{})
}

// PendingExtended returns the UID of the claim for a pod's extended resources while the claim
// exists only in the scheduler's memory, with its allocation. The allocation is nil if there is
// no such claim.
func (d *Devices) PendingExtended(pod types.UID) (types.UID, *resourceapi.AllocationResult) {
	d.mu.Lock()
	claim := d.extended[pod]
	d.mu.Unlock()
	if claim == "" {
		return "", nil
	}
	return claim, d.manager.ResourceClaims().GetPendingAllocation(claim)
}

// news merges a change with earlier changes of the claim since the last Sync.
func (d *Devices) news(uid types.UID, n claimNews) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, known := d.claims[uid]
	if n.name.Name == "" {
		if n.name = before.name; !known {
			n.name = d.named[uid]
		}
	}
	n.version, n.gone = max(n.version, before.version), n.gone || before.gone
	d.claims[uid] = n
	if len(d.claims) > d.claimsLimit {
		d.dropEnded()
		d.claimsLimit = max(minClaimNews, 2*len(d.claims))
	}
}

// minClaimNews is the least number of queued changes at which the queue is checked for
// claims that no longer exist.
const minClaimNews = 1024

// dropEnded applies the queued changes of claims that no longer exist and hold no devices.
// Without dropEnded they would stay queued while no pod needs a plan, because Sync is not
// called, and while Sync reads full lists.
func (d *Devices) dropEnded() {
	for uid, n := range d.claims {
		if n.name.Name != "" && !n.gone || d.manager.ResourceClaims().GetPendingAllocation(uid) != nil {
			continue
		}
		claim, err := d.manager.ResourceClaims().Get(n.name.Namespace, n.name.Name)
		if err == nil && claim.UID == uid {
			continue // the tracker has not seen the deletion yet
		}
		d.inventory.SetAllocation(uid, nil)
		delete(d.named, uid)
		delete(d.claims, uid)
	}
}

// Pending returns the number of queued changes of slices and claims, and of claims that
// hold devices.
func (d *Devices) Pending() (queued, holding int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.slices) + len(d.claims), len(d.named)
}

// Sync updates the inventory (the devices of the cluster and which are free) from
// ResourceSlices and the scheduler's claim tracker. Its cost grows with the number of
// changes, not of objects, unless changes are not reported (see Follow) or DeviceTaintRules
// exist.
func (d *Devices) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.published == nil || !d.published.Synced() || !d.whole() {
		return d.readAll()
	}
	if err := d.followSlices(); err != nil {
		return fmt.Errorf("following ResourceSlices: %w", err)
	}
	if !d.following {
		// Drop the allocations read from full lists: from here on SetAllocation records the
		// devices of each claim.
		d.inventory.SyncAllocated(structured.AllocatedState{AllocatedDevices: sets.New[structured.DeviceID]()})
		d.following = true
	}
	for uid, n := range d.claims {
		if d.followClaim(uid, n) {
			delete(d.claims, uid)
		}
	}
	return nil
}

func (d *Devices) followSlices() error {
	ruled := d.published.Ruled()
	if ruled || d.listed || !d.following {
		list := d.published.Slices
		if ruled {
			list = d.manager.ResourceSlices().ListWithDeviceTaintRules
		}
		clear(d.slices)
		all, err := list()
		if err != nil {
			return err
		}
		d.inventory.SyncSlices(all)
		d.listed = ruled
		return nil
	}
	for name := range d.slices {
		slice, err := d.published.Slice(name)
		if err != nil {
			return err
		}
		if slice == nil {
			d.inventory.DeleteSlice(name)
		} else {
			d.inventory.SetSlice(slice)
		}
		delete(d.slices, name)
	}
	return nil
}

// followClaim records the devices that the claim tracker shows for the claim. It returns
// true if the tracker has seen the change too. It reads the pending allocation first: the
// tracker sets the claim's allocation before it drops the pending one, so one of the two
// reads shows it.
func (d *Devices) followClaim(uid types.UID, n claimNews) bool {
	held := d.manager.ResourceClaims().GetPendingAllocation(uid)
	heard := n.gone || n.version == 0
	claim, err := d.manager.ResourceClaims().Get(n.name.Namespace, n.name.Name)
	if err == nil && claim.UID == uid {
		heard = !n.gone && versionOf(claim) >= n.version
		if claim.Status.Allocation != nil {
			held = claim.Status.Allocation
		}
	}
	d.inventory.SetAllocation(uid, held)
	if held != nil {
		d.named[uid] = n.name
	} else if heard {
		delete(d.named, uid)
	}
	return heard
}

// gatherTries is the maximum number of reads of the claim tracker to get one consistent
// state while claims change.
const gatherTries = 100

// readAll updates the inventory from all slices and all allocations. Queued changes stay
// queued, because the claim tracker may not show them yet.
func (d *Devices) readAll() error {
	all, err := d.manager.ResourceSlices().ListWithDeviceTaintRules()
	if err != nil {
		return fmt.Errorf("listing ResourceSlices: %w", err)
	}
	d.inventory.SyncSlices(all)
	d.following = false
	for try := 1; ; try++ {
		state, err := d.manager.ResourceClaims().GatherAllocatedState()
		if err == nil {
			d.inventory.SyncAllocated(*state)
			return nil
		}
		// Claims changed during the count. The tracker does not export its error for this.
		if try == gatherTries {
			return fmt.Errorf("gathering allocated devices: %w", err)
		}
		time.Sleep(time.Millisecond)
	}
}

func nameOf(claim *resourceapi.ResourceClaim) types.NamespacedName {
	return types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}
}

// versionOf parses a resource version as the scheduler's assume cache does. It returns 0 if
// the version is not a number, as for a claim that is not in the API server.
func versionOf(claim *resourceapi.ResourceClaim) int64 {
	version, err := strconv.ParseInt(claim.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return version
}
