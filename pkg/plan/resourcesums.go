// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// resourceSums is the free amount of one dimension (a resource, or a set of device kinds)
// on each node and in each domain (such as a rack) of the network tree. It limits what all
// members of a gang take together; other counts say how many members of one role (equal
// members) fit.
type resourceSums struct {
	dim dimension
	// at is the number of entries of nodeClasses.log, the list of changed nodes, that are
	// included.
	at int
	// free has the amount by node position (the index of a node), sum by depth 0..levels of
	// the tree and index of a domain at this depth.
	free pages[int64]
	sum  [][]int64
}

// amount returns the amount of the dimension that one node of the class (nodes of equal
// free capacity) adds to the sums.
func (d *dimension) amount(c *class) int64 {
	if c.unschedulable {
		return 0
	}
	return max(0, d.free(c))
}

func (d *dimension) hash() uint64 {
	h := hasher(2166136261)
	h.add(int64(d.resource))
	for _, k := range d.kinds {
		h.add(int64(k))
	}
	return uint64(h)
}

func (d *dimension) equal(o *dimension) bool {
	return d.resource == o.resource && slices.Equal(d.kinds, o.kinds)
}

func (nc *nodeClasses) sumResources(d *dimension) *resourceSums {
	f := nc.fabric
	t := &resourceSums{dim: *d, at: len(nc.log), free: newPages[int64](len(f.names))}
	for p := range int32(len(f.names)) {
		t.free.set(p, d.amount(nc.class(p)))
	}
	for depth := range f.tables {
		verts := f.tables[depth].verts
		sum := make([]int64, len(verts))
		for v := range verts {
			for p := verts[v].lo; p < verts[v].hi; p++ {
				sum[v] += t.free.at(p)
			}
		}
		t.sum = append(t.sum, sum)
	}
	return t
}

// updateSums returns the sums updated with all nodes that the log lists as changed.
func (nc *nodeClasses) updateSums(old *resourceSums) *resourceSums {
	t := &resourceSums{dim: old.dim, at: len(nc.log)}
	for _, sum := range old.sum {
		t.sum = append(t.sum, slices.Clone(sum))
	}
	free := edit(old.free)
	for _, p := range nc.log[old.at:] {
		n := t.dim.amount(nc.class(p))
		delta := n - free.at(p)
		free.set(p, n)
		for depth := range t.sum {
			t.sum[depth][nc.fabric.tables[depth].of[p]] += delta
		}
	}
	t.free = free.pages
	return t
}

// in returns the free amount in the domain v at a depth of the tree. At the depth below the
// last level, v is a node.
func (t *resourceSums) in(f *fabric, depth int, v int32) int64 {
	if depth > f.levels {
		return t.free.at(v)
	}
	return t.sum[depth][v]
}
