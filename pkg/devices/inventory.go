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

// maxQueries bounds the distinct requests whose answers are remembered; beyond it all are forgotten and those at hand are
// learned again.
const maxQueries = 256

// Options are the choices of an Inventory.
type Options struct {
	// CEL are the selector features; they must be those of the scheduler's DynamicResources plugin.
	CEL cel.Features
	// PairMaps are explicit alignment units by machine type; of two for one type the later counts.
	PairMaps []PairMap
}

// DefaultOptions fit Kubernetes 1.37 with default feature gates.
func DefaultOptions() Options {
	return Options{CEL: cel.Features{EnableConsumableCapacity: true}, PairMaps: DefaultPairMaps()}
}

// Inventory knows the devices of a cluster, node by node, and which of them are in use. All its methods may be called
// concurrently. Objects given to it are kept and never changed.
type Inventory struct {
	options  Options
	celCache *cel.Cache

	mu     sync.Mutex
	slices map[string]*resourceapi.ResourceSlice
	pools  map[poolKey]*pool
	nodes  nodeTable
	ledger ledger
	// revision rises with every change of slices or allocations.
	revision uint64
	// spec rises with every change of slices.
	spec uint64
	// multiNode are the pools with devices that more than one node can use.
	multiNode map[poolKey]*pool
	// common are the pools that are not one node's own: the allocator may read them whatever node it looks at.
	common map[poolKey]*pool

	queries map[string]*deviceQuery
	// layout partitions devices for the needs that are about; layouts numbers what View calls a layout.
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

// Revision rises with every change that can change a count; equal revisions mean equal answers.
func (inv *Inventory) Revision() uint64 {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.revision
}

// SyncSlices makes the inventory hold exactly these slices. Slices that are the same object as before cost one
// comparison; only nodes with changed slices are worked out anew.
func (inv *Inventory) SyncSlices(all []*resourceapi.ResourceSlice) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.holdsExactly(all) {
		return
	}
	seen := make(map[string]bool, len(all))
	for _, slice := range all {
		seen[slice.Name] = true
		inv.replace(slice.Name, slice)
	}
	for name := range inv.slices {
		if !seen[name] {
			inv.replace(name, nil)
		}
	}
}

// holdsExactly says that nothing changed, which is what most calls find.
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

// SetSlice adds a slice or replaces the one of its name.
func (inv *Inventory) SetSlice(slice *resourceapi.ResourceSlice) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.replace(slice.Name, slice)
}

// DeleteSlice removes a slice; an unknown name is no error.
func (inv *Inventory) DeleteSlice(name string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.replace(name, nil)
}

// SyncAllocated takes over the state that the scheduler's claim tracker gathered, in-flight allocations included. The
// state must not be changed afterwards. Only nodes whose devices changed are counted anew.
func (inv *Inventory) SyncAllocated(state structured.AllocatedState) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.touch(inv.ledger.gather(state))
}

// SetAllocation records what one claim holds from now on; nil means nothing any more. It adds to what SyncAllocated
// said, so a caller uses it instead of SyncAllocated, or for allocations that the tracker does not know yet.
func (inv *Inventory) SetAllocation(claim types.UID, allocation *resourceapi.AllocationResult) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.touch(inv.ledger.hold(claim, holdingOf(allocation)))
}

// replace puts now in the place of the slice called name and marks what that changes.
func (inv *Inventory) replace(name string, now *resourceapi.ResourceSlice) {
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

// changePool exchanges one slice of a pool. As long as the pool stays as usable as it was, only the slice's own node
// has to be worked out anew.
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

// touch marks the nodes on which devices changed hands.
func (inv *Inventory) touch(ids []structured.DeviceID) {
	if len(ids) > 0 {
		inv.revision++
	}
	for _, id := range ids {
		p := inv.pools[poolKey{driver: id.Driver.String(), name: id.Pool.String()}]
		if p == nil {
			continue
		}
		for _, node := range p.nodesOfDevice(id.Device.String()) {
			inv.nodes.bump(node, inv.revision)
		}
	}
}

// shownLayout is the layout that the last View showed.
type shownLayout struct {
	layout     *layout
	generation uint64
	kinds      []Kind
	multiNode  bool
}

// forgetQueries starts anew when too many different requests were seen. Needs that callers still hold keep their asks, and
// bring them into the new layout when they are viewed.
func (inv *Inventory) forgetQueries() {
	clear(inv.queries)
	inv.layout = newLayout()
}

// layoutFor makes sure that the layout covers the needs.
func (inv *Inventory) layoutFor(requests []Request) *layout {
	if len(inv.layout.queries) >= maxQueries || len(inv.layout.podLimits) >= maxQueries {
		inv.layout = newLayout()
	}
	for i := range requests {
		inv.layout.learn(&requests[i])
	}
	return inv.layout
}

// layoutNumber counts the layouts shown: it rises when kinds or permits differ from those of the last view, and when the
// first device for several nodes comes or the last one goes, since then other revisions tell what changed.
func (inv *Inventory) layoutNumber(l *layout) uint64 {
	now := shownLayout{layout: l, generation: l.generation, kinds: l.kinds.kinds, multiNode: len(inv.multiNode) > 0}
	last := &inv.shown
	if last.layout != now.layout || last.generation != now.generation || last.multiNode != now.multiNode || !slices.Equal(last.kinds, now.kinds) {
		inv.layouts++
		inv.shown = now
	}
	return inv.layouts
}
