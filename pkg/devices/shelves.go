// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import resourceapi "k8s.io/api/resource/v1"

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
		if node == "" || p.state.reaches || len(p.state.nodes) != 1 {
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
