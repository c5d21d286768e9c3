// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"sync"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"
)

// maxQueries bounds the cached queries. Beyond it all are dropped, and those in use are compiled again.
const maxQueries = 256

// Options are the choices of an Inventory.
type Options struct {
	// CEL are the selector features; they must be those of the scheduler's DynamicResources plugin.
	CEL cel.Features
	// PairMaps are explicit alignment units by machine type. Of two maps for one type the later counts.
	PairMaps []PairMap
}

// DefaultOptions fit Kubernetes 1.37 with default feature gates.
func DefaultOptions() Options {
	return Options{CEL: cel.Features{EnableConsumableCapacity: true}, PairMaps: DefaultPairMaps()}
}

// Inventory holds the devices of a cluster, node by node, and which of them are in use. All its methods are safe for
// concurrent use. It keeps the objects given to it and never changes them.
type Inventory struct {
	mu sync.Mutex
	contents

	celCache *cel.Cache
	queries  map[string]*deviceQuery
	// layout partitions devices for the requests in use. layouts counts the layouts that views had (see View.Layout).
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
		celCache: cel.NewCache(maxQueries, options.CEL),
		queries:  map[string]*deviceQuery{},
		layout:   newLayout(),
	}
}

// Revision increases with every change that can change a count; equal revisions mean equal counts.
func (inv *Inventory) Revision() uint64 {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.revision
}

// SyncSlices makes the inventory hold exactly these slices. A slice that is the same object as before costs one
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

// DeleteSlice removes a slice; an unknown name is no error.
func (inv *Inventory) DeleteSlice(name string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.replaceSlice(name, nil)
}

// SyncAllocated replaces the state of the scheduler's claim tracker, in-flight allocations included. The caller must
// not change the state afterwards. Only nodes whose devices changed are counted again.
func (inv *Inventory) SyncAllocated(state structured.AllocatedState) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.markChanged(inv.ledger.gather(state))
}

// SetAllocation sets what one claim holds; nil means nothing. It adds to the state of SyncAllocated: use it instead
// of SyncAllocated, or for allocations that the tracker does not have yet.
func (inv *Inventory) SetAllocation(claim types.UID, allocation *resourceapi.AllocationResult) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.markChanged(inv.ledger.hold(claim, holdingOf(allocation)))
}

// AttributeValues returns the distinct values, as sorted text, that the node's own devices publish of a fully
// qualified attribute. Clouds repeat facts about the whole node on each of its NICs, for instance
// azure.dra.net/placementGroupId; then there is a single value. Pools that are being replaced count, too: a node does
// not leave its placement group while its driver restarts. The result is kept until the node's slices change; callers
// must not change it.
func (inv *Inventory) AttributeValues(name, attribute string) []string {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	n := inv.nodes.get(name)
	if n == nil {
		return nil
	}
	return n.attributeValues(attribute)
}

// NodeRevision increases with every change of the node's slices or of what is in use there. It is 0 for a node
// without slices of its own. Changes of pools for many nodes do not change it; they change Revision.
func (inv *Inventory) NodeRevision(name string) uint64 {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if n := inv.nodes.get(name); n != nil {
		return n.revision
	}
	return 0
}

// NodeSlices sorts the slices of the inventory. The result is kept until slices change.
func (inv *Inventory) NodeSlices() *NodeSlices {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.nodeSlices == nil || inv.nodeSlicesAt != inv.spec {
		inv.nodeSlices, inv.nodeSlicesAt = inv.sortSlices(), inv.spec
	}
	return inv.nodeSlices
}

// SlicesOn returns the slices of the pools that belong to the node alone, and those of all pools that belong to no
// single node. It costs only those slices.
func (inv *Inventory) SlicesOn(node string) (local, shared []*resourceapi.ResourceSlice) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.slicesOn(node)
}

// AllocatedOn returns what is in use of the pools that SlicesOn returns, which is what the allocator needs for the
// node.
func (inv *Inventory) AllocatedOn(node string) *structured.AllocatedState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.allocatedOn(node)
}

// Allocated returns everything that is in use, as a copy that the caller may change.
func (inv *Inventory) Allocated() *structured.AllocatedState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.ledger.everything()
}
