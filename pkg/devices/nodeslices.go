// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// NodeSlices are the ResourceSlices of a cluster, sorted by who can use them. Treat them as read-only.
type NodeSlices struct {
	// Index numbers the nodes that have pools of their own; Local lists the slices of those pools by that number.
	Index map[string]int
	Local [][]*resourceapi.ResourceSlice
	// Shared are the slices of all other pools. Looking at one node, the allocator may read any of them.
	Shared []*resourceapi.ResourceSlice
	// Count is how many slices stand in Local.
	Count int
}

// NodeSlices sorts the slices that the inventory holds; the answer is kept until slices change.
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
		i, known := s.Index[node]
		if !known {
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

// SlicesOn returns the slices of the pools that the node has to itself, and those of all pools that are not one node's
// own. It costs those slices, whatever else there is.
func (inv *Inventory) SlicesOn(node string) (own, rest []*resourceapi.ResourceSlice) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if n := inv.nodes.get(node); n != nil {
		for _, p := range n.pools {
			if p.state.local() {
				own = slices.AppendSeq(own, maps.Values(p.slices))
			}
		}
	}
	for _, p := range inv.common {
		rest = slices.AppendSeq(rest, maps.Values(p.slices))
	}
	return own, rest
}

// AllocatedOn is what the allocator must know to be in use when it looks at the node: of the pools that SlicesOn returns.
func (inv *Inventory) AllocatedOn(node string) *structured.AllocatedState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	taken := noneAllocated()
	if n := inv.nodes.get(node); n != nil {
		for _, p := range n.pools {
			inv.ledger.gatherPool(p, taken)
		}
	}
	for _, p := range inv.common {
		inv.ledger.gatherPool(p, taken)
	}
	return taken
}

// Allocated is all that is in use, as the caller's own.
func (inv *Inventory) Allocated() *structured.AllocatedState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.ledger.everything()
}
