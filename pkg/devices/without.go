// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/structured"
)

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
