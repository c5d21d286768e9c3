// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// NodeSlices are the ResourceSlices of a cluster, sorted by the nodes that can use them. Treat them as read-only.
type NodeSlices struct {
	// Index numbers the nodes that have pools of their own; Local lists the slices of those pools by that number.
	Index map[string]int
	Local [][]*resourceapi.ResourceSlice
	// Shared are the slices of all other pools. The allocator may read any of them for any node.
	Shared []*resourceapi.ResourceSlice
	// Count is how many slices Local has.
	Count int
}

// NodeSlices sorts the slices of the inventory. The result is kept until slices change.
func (inv *Inventory) NodeSlices() *NodeSlices {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.nodeSlices != nil && inv.nodeSlicesAt == inv.spec {
		return inv.nodeSlices
	}
	s := &NodeSlices{Index: map[string]int{}}
	for _, slice := range inv.slices {
		p := inv.pools[poolOf(slice)]
		node := nodeOf(slice)
		if node == "" || !p.state.local() {
			s.Shared = append(s.Shared, slice)
			continue
		}
		i, numbered := s.Index[node]
		if !numbered {
			i = len(s.Local)
			s.Index[node] = i
			s.Local = append(s.Local, nil)
		}
		s.Local[i] = append(s.Local[i], slice)
		s.Count++
	}
	inv.nodeSlices, inv.nodeSlicesAt = s, inv.spec
	return s
}

// SlicesOn returns the slices of the pools that belong to the node alone, and those of all pools that belong to no
// single node. It costs only those slices.
func (inv *Inventory) SlicesOn(node string) (local, shared []*resourceapi.ResourceSlice) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if n := inv.nodes.get(node); n != nil {
		for _, p := range n.pools {
			if p.state.local() {
				local = slices.AppendSeq(local, maps.Values(p.slices))
			}
		}
	}
	for _, p := range inv.common {
		shared = slices.AppendSeq(shared, maps.Values(p.slices))
	}
	return local, shared
}

// AllocatedOn returns what is in use of the pools that SlicesOn returns, which is what the allocator needs for the
// node.
func (inv *Inventory) AllocatedOn(node string) *structured.AllocatedState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	allocated := noneAllocated()
	if n := inv.nodes.get(node); n != nil {
		for _, p := range n.pools {
			inv.ledger.gatherPool(p, allocated)
		}
	}
	for _, p := range inv.common {
		inv.ledger.gatherPool(p, allocated)
	}
	return allocated
}

// Allocated returns everything that is in use, as a copy that the caller may change.
func (inv *Inventory) Allocated() *structured.AllocatedState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.ledger.everything()
}
