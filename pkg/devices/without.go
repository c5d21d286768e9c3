// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/structured"
)

// ClaimSet is a set of claims, with their allocations, whose devices are to be shown as free. The nil set is empty.
type ClaimSet struct {
	claims map[types.UID]bool
	// byDevice has the claims of the set that hold the whole of a device, by device.
	byDevice map[structured.DeviceID][]types.UID
}

// NewClaimSet returns an empty set.
func NewClaimSet() *ClaimSet {
	return &ClaimSet{claims: map[types.UID]bool{}, byDevice: map[structured.DeviceID][]types.UID{}}
}

// Add adds a claim with its allocation to the set.
func (s *ClaimSet) Add(claim types.UID, allocation *resourceapi.AllocationResult) {
	if s.claims[claim] {
		return
	}
	s.claims[claim] = true
	now := holdingOf(allocation)
	for _, id := range now.devices {
		s.byDevice[id] = append(s.byDevice[id], claim)
	}
}

// Has returns true if the claim is in the set.
func (s *ClaimSet) Has(claim types.UID) bool { return s != nil && s.claims[claim] }

// holders returns how many claims of the set hold the whole device, as the ledger shows them.
func (s *ClaimSet) holders(l *ledger, id structured.DeviceID) int {
	if s == nil {
		return 0
	}
	n := 0
	for _, claim := range s.byDevice[id] {
		if slices.Contains(l.claims[claim].devices, id) {
			n++
		}
	}
	return n
}

// WithoutClaims shows the devices of an Inventory as they would be if the claims of a set had
// none. It reads the inventory at each call and keeps nothing, so it is cheap to create.
type WithoutClaims struct {
	inv   *Inventory
	freed *ClaimSet
	// held replaces the allocations that the inventory records, if the inventory does not
	// know which claim holds which device. It is nil otherwise.
	held *ledger
}

// Without returns the inventory without the allocations of the freed claims. It needs the
// allocations of single claims (SetAllocation).
func (inv *Inventory) Without(freed *ClaimSet) *WithoutClaims {
	return &WithoutClaims{inv: inv, freed: freed}
}

// WithoutAmong returns the inventory with the given allocations of claims, but not those of the
// freed claims, in place of the recorded allocations. It is for an inventory that got the
// allocations by SyncAllocated.
func (inv *Inventory) WithoutAmong(freed *ClaimSet, all map[types.UID]*resourceapi.AllocationResult) *WithoutClaims {
	held := newLedger()
	held.gathered = emptyState()
	for claim, allocation := range all {
		if !freed.Has(claim) {
			held.hold(claim, holdingOf(allocation))
		}
	}
	return &WithoutClaims{inv: inv, held: &held}
}

// contents returns the inventory's contents with the allocations of w. The caller must hold the
// inventory's lock.
func (w *WithoutClaims) contents() *contents {
	c := w.inv.contents
	if w.held != nil {
		c.ledger = *w.held
	} else {
		c.ledger.freed = w.freed
	}
	return &c
}

// Assess is as Inventory.Assess, but it caches nothing.
func (w *WithoutClaims) Assess(node string, request *Request, rail int, plugin func(v1.ResourceName) bool) Assessment {
	served := request.served(plugin)
	w.inv.mu.Lock()
	defer w.inv.mu.Unlock()
	c := w.contents()
	n := c.node(node)
	if n == nil {
		n = newNode(node)
	}
	return c.assess(n, request, rail, served)
}

// AllocatedOn is as Inventory.AllocatedOn.
func (w *WithoutClaims) AllocatedOn(node string) *structured.AllocatedState {
	w.inv.mu.Lock()
	defer w.inv.mu.Unlock()
	return w.contents().allocatedOn(node)
}

// Allocated is as Inventory.Allocated. Its cost grows with the devices in use in the cluster.
func (w *WithoutClaims) Allocated() *structured.AllocatedState {
	w.inv.mu.Lock()
	defer w.inv.mu.Unlock()
	return w.contents().ledger.everything()
}

// SharesPools returns true if some pool of devices belongs to no single node. A claim on any
// node may then hold devices that other nodes can use.
func (inv *Inventory) SharesPools() bool {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return len(inv.common) > 0
}
