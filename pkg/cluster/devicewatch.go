// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"strconv"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Published is what the API server has of devices, as an informer's store shows
// it: never behind the changes that Devices is notified of.
type Published interface {
	// Slice returns the slice of that name, nil if there is none.
	Slice(name string) (*resourceapi.ResourceSlice, error)
	// Slices returns all slices.
	Slices() ([]*resourceapi.ResourceSlice, error)
	// Ruled reports whether DeviceTaintRules exist: their taints stand in no
	// published slice.
	Ruled() bool
	// Synced reports whether all objects that exist have been delivered.
	Synced() bool
}

// claimNews is that something about a claim changed, and what the claim tracker
// must show before the news is old: it gets its own news in its own time.
type claimNews struct {
	name types.NamespacedName
	// version is the least resource version that counts, 0 for any.
	version int64
	// gone reports that the claim was deleted.
	gone bool
}

// Follow makes Sync rest on news instead of reading everything, from the moment in
// which published is synced. Everyone who allocates devices in this process must
// then tell ClaimAssumed of it; whole reports whether that is so.
func (d *Devices) Follow(published Published, whole func() bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.published, d.whole = published, whole
}

// SliceChanged notes a slice that was published, changed or deleted.
func (d *Devices) SliceChanged(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slices[name] = true
}

// ClaimChanged notes a claim as the API server has it now.
func (d *Devices) ClaimChanged(claim *resourceapi.ResourceClaim) {
	d.news(claim.UID, claimNews{name: nameOf(claim), version: versionOf(claim)})
}

// ClaimDeleted notes a claim that the API server no longer has.
func (d *Devices) ClaimDeleted(claim *resourceapi.ResourceClaim) {
	d.news(claim.UID, claimNews{name: nameOf(claim), gone: true})
}

// ClaimAssumed notes that the claim tracker assumed a new state of a claim.
func (d *Devices) ClaimAssumed(claim *resourceapi.ResourceClaim) {
	d.news(claim.UID, claimNews{name: nameOf(claim)})
}

// ClaimReleased notes that the claim tracker may have dropped what was pending for a
// claim.
func (d *Devices) ClaimReleased(uid types.UID) { d.news(uid, claimNews{}) }

// news merges the changes of a claim since the last Sync.
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
}

// Sync brings the inventory up to date with the scheduler's own view. What
// changed costs, not what there is, unless changes are not delivered or
// DeviceTaintRules are about.
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
		// From here on every claim speaks for itself.
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

// followClaim records what the claim tracker says that a claim holds. It returns
// true if the tracker has seen the change, too. What is pending is read first: a
// claim is allocated before it stops being pending, so one of the two shows it.
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

// gatherTries bounds how often the claim tracker is asked for one consistent
// state while claims change under it.
const gatherTries = 100

// readAll reads all slices and all allocations. News is kept for later.
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
		// Claims changed while they were counted; the tracker's own error for
		// that is not exported.
		if try == gatherTries {
			return fmt.Errorf("gathering allocated devices: %w", err)
		}
		time.Sleep(time.Millisecond)
	}
}

func nameOf(claim *resourceapi.ResourceClaim) types.NamespacedName {
	return types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}
}

// versionOf reads a resource version as the scheduler's assume cache does; 0 for
// one that is no number, as of a claim that is not in the API server.
func versionOf(claim *resourceapi.ResourceClaim) int64 {
	version, err := strconv.ParseInt(claim.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return version
}
