// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"
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
	options  Options
	celCache *cel.Cache

	mu     sync.Mutex
	slices map[string]*resourceapi.ResourceSlice
	pools  map[poolKey]*pool
	nodes  nodeTable
	ledger ledger
	// revision increases with every change of slices or allocations.
	revision uint64
	// spec increases with every change of slices.
	spec uint64
	// multiNode are the pools with devices that more than one node can use.
	multiNode map[poolKey]*pool
	// common are the pools that do not belong to a single node: the allocator may read them for any node.
	common map[poolKey]*pool

	queries map[string]*deviceQuery
	// layout partitions devices for the requests in use. layouts counts the layouts that views had (see View.Layout).
	layout  *layout
	layouts uint64
	shown   shownLayout

	nodeSlices   *NodeSlices
	nodeSlicesAt uint64
}

// New returns an empty Inventory.
func New(options Options) *Inventory {
	inv := &Inventory{
		options:   options,
		celCache:  cel.NewCache(maxQueries, options.CEL),
		slices:    map[string]*resourceapi.ResourceSlice{},
		pools:     map[poolKey]*pool{},
		nodes:     newNodeTable(),
		ledger:    newLedger(),
		multiNode: map[poolKey]*pool{},
		common:    map[poolKey]*pool{},
		queries:   map[string]*deviceQuery{},
		layout:    newLayout(),
	}
	inv.ledger.gathered = emptyState()
	return inv
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

// holdsExactly returns true if nothing changed, which is the usual case.
func (inv *Inventory) holdsExactly(all []*resourceapi.ResourceSlice) bool {
	if len(all) != len(inv.slices) {
		return false
	}
	for _, slice := range all {
		if inv.slices[slice.Name] != slice {
			return false
		}
	}
	return true
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

// replaceSlice puts now in the place of the slice called name and marks the nodes that change.
func (inv *Inventory) replaceSlice(name string, now *resourceapi.ResourceSlice) {
	before := inv.slices[name]
	if before == now {
		return
	}
	inv.revision++
	inv.spec++
	if before != nil {
		delete(inv.slices, name)
	}
	if now != nil {
		inv.slices[name] = now
	}
	if before != nil && (now == nil || poolOf(before) != poolOf(now)) {
		inv.changePool(poolOf(before), before, nil)
		before = nil
	}
	if now != nil {
		inv.changePool(poolOf(now), before, now)
	}
}

// changePool exchanges one slice of a pool. As long as the pool stays as usable as before, only the slice's own node
// is computed again.
func (inv *Inventory) changePool(key poolKey, before, now *resourceapi.ResourceSlice) {
	p := inv.pools[key]
	if p == nil {
		p = &pool{key: key, slices: map[string]*resourceapi.ResourceSlice{}}
		inv.pools[key] = p
	}
	old := p.state
	var stale []string
	if before != nil {
		delete(p.slices, before.Name)
		stale = append(stale, nodeOf(before))
	}
	if now != nil {
		p.slices[now.Name] = now
		stale = append(stale, nodeOf(now))
	}
	p.refresh()
	if !old.sameUse(&p.state) {
		stale = append(append(stale, old.nodes...), p.state.nodes...)
	}
	for _, node := range stale {
		inv.nodes.relink(node, p, inv.revision)
	}
	inv.multiNode[key], inv.common[key] = p, p
	if !p.state.multiNode {
		delete(inv.multiNode, key)
	}
	if p.state.local() {
		delete(inv.common, key)
	}
	if len(p.slices) == 0 {
		delete(inv.pools, key)
		delete(inv.common, key)
	}
}

// markChanged marks the nodes of devices whose allocation changed.
func (inv *Inventory) markChanged(ids []structured.DeviceID) {
	if len(ids) > 0 {
		inv.revision++
	}
	for _, id := range ids {
		p := inv.pools[poolKey{driver: id.Driver.String(), name: id.Pool.String()}]
		if p == nil {
			continue
		}
		for _, node := range p.nodesOfDevice(id.Device.String()) {
			inv.nodes.markChanged(node, inv.revision)
		}
	}
}

// shownLayout is the layout of the last View.
type shownLayout struct {
	layout     *layout
	generation uint64
	kinds      []Kind
	multiNode  bool
}

// forgetQueries drops all queries when there are too many. Requests that callers still hold keep their queries, and
// add them to the new layout when they are viewed.
func (inv *Inventory) forgetQueries() {
	clear(inv.queries)
	inv.layout = newLayout()
}

// layoutFor returns a layout that covers the requests.
func (inv *Inventory) layoutFor(requests []Request) *layout {
	if len(inv.layout.queries) >= maxQueries || len(inv.layout.podLimits) >= maxQueries {
		inv.layout = newLayout()
	}
	for i := range requests {
		inv.layout.addRequest(&requests[i])
	}
	return inv.layout
}

// layoutNumber counts the layouts of views. It increases when kinds or pod limits differ from those of the last view.
// It also increases when the first device for several nodes appears or the last one disappears, since then a
// different revision shows what changed.
func (inv *Inventory) layoutNumber(l *layout) uint64 {
	now := shownLayout{layout: l, generation: l.generation, kinds: l.kinds.kinds, multiNode: len(inv.multiNode) > 0}
	last := &inv.shown
	if last.layout != now.layout || last.generation != now.generation || last.multiNode != now.multiNode || !slices.Equal(last.kinds, now.kinds) {
		inv.layouts++
		inv.shown = now
	}
	return inv.layouts
}
