// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Release has the allocations of claims that are freed together, as far as they are devices of
// one node.
type Release struct {
	Node        string
	Allocations []Allocation
}

// Allocation is what one claim holds.
type Allocation struct {
	Claim  types.UID
	Result *resourceapi.AllocationResult
}

// Freed is what a Release makes free on its node.
type Freed struct {
	// Units has, by alignment unit in the order of NodeDevices.Units and by kind (a set of
	// interchangeable devices), the number of further allocations that are possible. It is nil
	// if there are none.
	Units [][]int
	// PodLimits has, by pod limit (see View.PodLimits), how many more pods the node admits. It
	// is nil if there are no limits.
	PodLimits []int
}

// Freed returns what each release makes free on its node, in addition to what earlier releases
// of the same node made free. The view must be the last one of the inventory; ok is false if it
// is not, because another view has other kinds. Devices that several nodes can use are not
// counted.
func (inv *Inventory) Freed(view *View, releases []Release) (freed []Freed, ok bool) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if view.Layout != inv.layouts {
		return nil, false
	}
	inv.layout.update(&inv.contents)
	if inv.layoutNumber(inv.layout) != view.Layout {
		return nil, false
	}
	freed = make([]Freed, len(releases))
	byNode := map[string][]int{}
	for i := range releases {
		if len(releases[i].Allocations) > 0 {
			byNode[releases[i].Node] = append(byNode[releases[i].Node], i)
		}
	}
	for name, indices := range byNode {
		number, known := inv.nodes.index[name]
		if !known || number >= len(inv.layout.nodes) || inv.layout.nodes[number].node == nil {
			continue
		}
		cached := &inv.layout.nodes[number]
		used := inv.ledger.on(cached.node.devices)
		before := inv.layout.recount(cached, used)
		for _, i := range indices {
			for _, a := range releases[i].Allocations {
				used.free(a)
			}
			after := inv.layout.recount(cached, used)
			freed[i] = difference(after, before)
			before = after
		}
	}
	return freed, true
}

// difference returns what the counts of a node have more than others of the same node.
func difference(counts, others *NodeDevices) Freed {
	out := Freed{Units: make([][]int, len(counts.Units))}
	for u := range counts.Units {
		out.Units[u] = make([]int, len(counts.Units[u].Free))
		for kind, n := range counts.Units[u].Free {
			out.Units[u][kind] = max(0, n-others.Units[u].Free[kind])
		}
	}
	for i, n := range counts.PodLimits {
		out.PodLimits = append(out.PodLimits, max(0, n-others.PodLimits[i]))
	}
	return out
}

// on returns a ledger with the allocations of these devices and of those that consume counters
// of the same pools. The caller may change it.
func (l *ledger) on(list []*device) *ledger {
	own := newLedger()
	own.gathered = *noneAllocated()
	seen := sets.New[structured.DeviceID]()
	pools := sets.New[*pool]()
	copyDevice := func(id structured.DeviceID) {
		if seen.Has(id) {
			return
		}
		seen.Insert(id)
		l.copyDevice(id, &own)
	}
	for _, d := range list {
		copyDevice(d.id)
		if len(d.spec.ConsumesCounters) == 0 || pools.Has(d.pool) {
			continue
		}
		pools.Insert(d.pool)
		for _, other := range d.pool.devices(everySlice) {
			copyDevice(other.id)
		}
	}
	return &own
}

// copyDevice copies the allocations of one device to another ledger.
func (l *ledger) copyDevice(id structured.DeviceID, into *ledger) {
	if l.gathered.AllocatedDevices.Has(id) {
		into.gathered.AllocatedDevices.Insert(id)
	}
	if n := l.held[id]; n > 0 {
		into.held[id] = n
	}
	for claim, shares := range l.shared[id] {
		if into.shared[id] == nil {
			into.shared[id] = map[types.UID][]share{}
		}
		into.shared[id][claim] = shares
	}
	if taken, ok := l.gathered.AggregatedCapacity[id]; ok {
		into.gathered.AggregatedCapacity[id] = taken.Clone()
	}
	for shared := range l.gathered.AllocatedSharedDeviceIDs {
		if shared.GetDeviceID() == id {
			into.gathered.AllocatedSharedDeviceIDs.Insert(shared)
		}
	}
}

// free removes an allocation from the ledger, in both sources of allocations. Only ledgers that
// the method on returned may be changed so.
func (l *ledger) free(a Allocation) {
	gone := holdingOf(a.Result)
	for _, id := range gone.devices {
		l.gathered.AllocatedDevices.Delete(id)
		delete(l.held, id)
	}
	for i := range gone.shares {
		s := &gone.shares[i]
		delete(l.shared[s.device], a.Claim)
		if shared := structured.MakeSharedDeviceID(s.device, s.id); l.gathered.AllocatedSharedDeviceIDs.Has(shared) {
			l.gathered.AllocatedSharedDeviceIDs.Delete(shared)
			l.gathered.AggregatedCapacity.Remove(structured.NewDeviceConsumedCapacity(s.device, s.taken))
		}
	}
}
