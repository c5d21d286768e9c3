// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"maps"
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// NodeSlices are the ResourceSlices of a cluster, grouped by the nodes that can use them.
// Treat them as read-only.
type NodeSlices struct {
	// Index has, by name of a node with pools of its own, the node's index in Local.
	// Local has the slices of these pools.
	Index map[string]int
	Local [][]*resourceapi.ResourceSlice
	// Shared has the slices of all other pools. The stock allocator may read any of them for
	// any node.
	Shared []*resourceapi.ResourceSlice
	// Count is the number of slices in Local.
	Count int
}

// sortSlices groups all slices by the only node that can use their pool. Slices of a pool
// that several nodes can use go to Shared.
func (c *contents) sortSlices() *NodeSlices {
	s := &NodeSlices{Index: map[string]int{}}
	for _, slice := range c.slices {
		p := c.pools[poolOf(slice)]
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
	return s
}

// slicesOn returns the slices of the pools that belong to the node alone (local) and of
// all pools that belong to no single node (shared).
func (c *contents) slicesOn(node string) (local, shared []*resourceapi.ResourceSlice) {
	if n := c.nodes.get(node); n != nil {
		for _, p := range n.pools {
			if p.state.local() {
				local = slices.AppendSeq(local, maps.Values(p.slices))
			}
		}
	}
	for _, p := range c.common {
		shared = slices.AppendSeq(shared, maps.Values(p.slices))
	}
	return local, shared
}

// allocatedOn returns the allocated devices of the pools with devices of the node and of
// all pools that belong to no single node.
func (c *contents) allocatedOn(node string) *structured.AllocatedState {
	allocated := noneAllocated()
	if n := c.nodes.get(node); n != nil {
		for _, p := range n.pools {
			c.ledger.gatherPool(p, allocated)
		}
	}
	for _, p := range c.common {
		c.ledger.gatherPool(p, allocated)
	}
	return allocated
}
