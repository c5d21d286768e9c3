// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Shelves are the ResourceSlices of a cluster, sorted by who can use them. Treat them as read-only.
type Shelves struct {
	// Index numbers the nodes that have pools of their own; Own lists the slices of those pools by that number.
	Index map[string]int
	Own   [][]*resourceapi.ResourceSlice
	// Rest are the slices of all other pools. Looking at one node, the allocator may read any of them.
	Rest []*resourceapi.ResourceSlice
	// Count is how many slices stand in Own.
	Count int
}

// Shelves sorts the slices that the inventory holds; the answer is kept until slices change.
func (inv *Inventory) Shelves() *Shelves {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.shelves != nil && inv.shelvedAt == inv.spec {
		return inv.shelves
	}
	s := &Shelves{Index: map[string]int{}}
	for _, slice := range inv.slices {
		p := inv.pools[poolOf(slice)]
		node := nodeOf(slice)
		if node == "" || !p.state.own() {
			s.Rest = append(s.Rest, slice)
			continue
		}
		i, known := s.Index[node]
		if !known {
			i = len(s.Own)
			s.Index[node] = i
			s.Own = append(s.Own, nil)
		}
		s.Own[i] = append(s.Own[i], slice)
		s.Count++
	}
	inv.shelves, inv.shelvedAt = s, inv.spec
	return s
}

// Shelf returns the slices of the pools that the node has to itself, and those of all pools that are not one node's
// own. It costs those slices, whatever else there is.
func (inv *Inventory) Shelf(node string) (own, rest []*resourceapi.ResourceSlice) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if n := inv.nodes.get(node); n != nil {
		for _, p := range n.pools {
			if p.state.own() {
				own = slices.AppendSeq(own, maps.Values(p.slices))
			}
		}
	}
	for _, p := range inv.common {
		rest = slices.AppendSeq(rest, maps.Values(p.slices))
	}
	return own, rest
}

// TakenOn is what the allocator must know to be in use when it looks at the node: of the pools that Shelf returns.
func (inv *Inventory) TakenOn(node string) *structured.AllocatedState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	taken := noneTaken()
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

// Taken is all that is in use, as the caller's own.
func (inv *Inventory) Taken() *structured.AllocatedState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.ledger.everything()
}
