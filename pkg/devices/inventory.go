// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"sync"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Options configures an Inventory.
type Options struct {
	// CEL states which features of CEL the device selectors may use. They must equal those
	// of the scheduler's DynamicResources plugin.
	CEL cel.Features
	// PairMaps state, by machine type, which GPUs and NICs form one alignment unit (devices
	// that are close to each other). A later map replaces an earlier map for the same type.
	PairMaps []PairMap
}

// DefaultOptions returns the options for Kubernetes 1.37 with default feature gates.
func DefaultOptions() Options {
	return Options{CEL: cel.Features{EnableConsumableCapacity: true}, PairMaps: DefaultPairMaps()}
}

// Inventory holds the devices of a cluster, node by node, and their allocations. All its
// methods are safe for concurrent use. It keeps the objects passed to it and never changes
// them.
type Inventory struct {
	mu sync.Mutex
	contents

	options  Options
	compiler celCompiler
	queries  queryCache
	budgets  *budgets
	// layout divides the devices into kinds (sets of devices that are interchangeable for
	// the requests in use). layouts is the number of the layout of the last View (see
	// View.Layout).
	layout  *layout
	layouts uint64
	shown   shownLayout

	nodeSlices   *NodeSlices
	nodeSlicesAt uint64
}

// New returns an empty Inventory.
func New(options Options) *Inventory {
	return &Inventory{
		contents: newContents(options.PairMaps),
		options:  options,
		compiler: cel.GetCompiler(options.CEL),
		queries:  newQueryCache(),
		budgets:  newBudgets(),
		layout:   newLayout(),
	}
}

// Fresh returns an empty inventory with the same options. The old and the new inventory
// share the budgets that limit the work for the CEL selectors of each namespace.
func (inv *Inventory) Fresh() *Inventory {
	fresh := New(inv.options)
	fresh.budgets = inv.budgets
	return fresh
}

// Refill raises the budgets (limits on the work for the CEL selectors of each namespace)
// for the time that has passed until now.
func (inv *Inventory) Refill(now time.Time) { inv.budgets.refill(now) }

// Sizes returns the number of nodes with devices, and of queries (what a request demands
// of a device) in the cache and in the layout, the layout's pod limits included.
func (inv *Inventory) Sizes() (nodes, queries int) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return len(inv.nodes.index), len(inv.queries.byKey) + len(inv.layout.queries) + len(inv.layout.podLimits)
}

// Revision increases with every change that can change a count. Equal revisions mean equal
// counts.
func (inv *Inventory) Revision() uint64 {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.revision
}

// SyncSlices makes the inventory hold exactly these slices. An unchanged object costs one
// comparison. Only nodes with changed slices are computed again.
func (inv *Inventory) SyncSlices(all []*resourceapi.ResourceSlice) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.holdsExactly(all) {
		return
	}
	seen := make(map[string]bool, len(all))
	for _, slice := range all {
		seen[slice.Name] = true
		inv.replaceSlice(slice.Name, slice)
	}
	for name := range inv.slices {
		if !seen[name] {
			inv.replaceSlice(name, nil)
		}
	}
}

// SetSlice adds a slice or replaces the slice of the same name.
func (inv *Inventory) SetSlice(slice *resourceapi.ResourceSlice) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.replaceSlice(slice.Name, slice)
}

// DeleteSlice removes a slice. It ignores an unknown name.
func (inv *Inventory) DeleteSlice(name string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.replaceSlice(name, nil)
}

// SyncAllocated replaces the allocated devices as gathered by the scheduler's
// ResourceClaimTracker, in-flight allocations included. The caller must not change the state
// afterwards. Only nodes with changed devices are counted again.
func (inv *Inventory) SyncAllocated(state structured.AllocatedState) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.markChanged(inv.ledger.gather(state))
}

// SetAllocation sets the allocation of one claim; nil means none. It adds to the
// allocations of SyncAllocated. Use it instead of SyncAllocated, or for allocations that
// the scheduler's claim tracker does not have yet.
func (inv *Inventory) SetAllocation(claim types.UID, allocation *resourceapi.AllocationResult) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.markChanged(inv.ledger.hold(claim, holdingOf(allocation)))
}

// AttributeValues returns the distinct values of a fully qualified attribute that the
// node's own devices publish, as sorted text. Clouds repeat facts about the whole node on
// each of its NICs, for instance azure.dra.net/placementGroupId. The result is then a
// single value. Pools that are being replaced are read, too: a node stays in its placement
// group while its driver restarts. The result is cached until the node's slices change;
// callers must not change it.
func (inv *Inventory) AttributeValues(name, attribute string) []string {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	n := inv.nodes.get(name)
	if n == nil {
		return nil
	}
	return n.attributeValues(attribute)
}

// NodeRevision increases with every change of the node's slices or allocations. It is 0 for
// a node without slices of its own. Changes of pools for many nodes do not change it; they
// change Revision.
func (inv *Inventory) NodeRevision(name string) uint64 {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if n := inv.nodes.get(name); n != nil {
		return n.revision
	}
	return 0
}

// NodeSlices groups the slices of the inventory by node. The result is cached until slices
// change.
func (inv *Inventory) NodeSlices() *NodeSlices {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.nodeSlices == nil || inv.nodeSlicesAt != inv.spec {
		inv.nodeSlices, inv.nodeSlicesAt = inv.sortSlices(), inv.spec
	}
	return inv.nodeSlices
}

// SlicesOn returns the slices of the pools that belong to the node alone (local) and of all
// pools that belong to no single node (shared). Its cost is proportional to these slices.
func (inv *Inventory) SlicesOn(node string) (local, shared []*resourceapi.ResourceSlice) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.slicesOn(node)
}

// AllocatedOn returns the allocated devices of the pools that SlicesOn returns: the state
// that the stock allocator needs for the node.
func (inv *Inventory) AllocatedOn(node string) *structured.AllocatedState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.allocatedOn(node)
}

// Allocated returns all allocated devices. The caller may change the result.
func (inv *Inventory) Allocated() *structured.AllocatedState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.ledger.everything()
}
