// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"
)

// domains are the domains of a rule between members (Spread, Affinity or AntiAffinity):
// those of a level of the fabric (the topology tree) or of a Partition (a division of nodes
// into named domains). Domains are numbered from zero.
type domains struct {
	fabric *fabric
	// depth is the depth of the level in the tree, one below the finest level for nodes.
	// It is -1 for a Partition.
	depth int
	// of has, by node position (the index of a node), the number of the node's domain in a
	// Partition, -1 for none.
	of []int32
	// count is one more than the largest domain number.
	count int32
}

// at returns the number of the domain with the node at pos. ok is false if no domain has
// this node.
func (d *domains) at(pos int32) (v int32, ok bool) {
	if d.depth < 0 {
		v = d.of[pos]
		return v, v >= 0
	}
	v = d.fabric.at(d.depth, pos)
	return v, d.fabric.real(d.depth, v)
}

// areNodes reports whether each domain is a single node.
func (d *domains) areNodes() bool { return d.depth > d.fabric.levels }

// sizes returns, by domain number, the number of nodes in the domain. It has zeros for
// numbers that no domain has.
func (d *domains) sizes() []int32 {
	out := make([]int32, d.count)
	for pos := range int32(len(d.fabric.names)) {
		if v, ok := d.at(pos); ok {
			out[v]++
		}
	}
	return out
}

// newPartition returns the domains of a Partition, numbered in the order of their names.
// named has, by node name, the name of the node's domain.
func newPartition(f *fabric, named map[string]string) *domains {
	d := &domains{fabric: f, depth: -1, of: make([]int32, len(f.names))}
	numbers := map[string]int32{}
	for pos, node := range f.names {
		if name, ok := named[node]; ok {
			numbers[name] = 0
		}
		d.of[pos] = -1
	}
	for i, name := range slices.Sorted(maps.Keys(numbers)) {
		numbers[name] = int32(i)
	}
	for pos, node := range f.names {
		if name, ok := named[node]; ok {
			d.of[pos] = numbers[name]
		}
	}
	d.count = int32(len(numbers))
	return d
}
