// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// rollup has how many members of one shape (the resources and devices that a pod needs)
// fit on every node, and on all nodes of every vertex (such as a rack) of the network tree.
// It is immutable. A later rollup starts from a copy.
type rollup struct {
	shape *shape
	// at is the number of entries of nodeClasses.log, the list of changed nodes, that are
	// included.
	at int
	// slots and clean are by node position (the index of a node). slots is the number of
	// members that fit by counts. clean is the number that fit with all follower devices
	// (NICs) in alignment units (such as PCIe roots) with anchors (GPUs). For shapes
	// without followers clean is slots itself.
	slots, clean pages[int32]
	// sum, cleanSum and most are by depth 0..levels and vertex: the sum of slots, the sum
	// of clean, and the slots of the best node.
	sum, cleanSum [][]int64
	most          [][]int32
	// top has, by depth, the most members that fit in one vertex.
	top []int64
}

// count computes a new rollup: how many members of the shape fit on every node and in
// every vertex. It computes each class (nodes of equal free capacity) once.
func (nc *nodeClasses) count(sh *shape) *rollup {
	f := nc.fabric
	r := &rollup{shape: sh, at: len(nc.log), slots: newPages[int32](len(f.names))}
	r.clean = r.slots
	if len(sh.pairs) > 0 {
		r.clean = newPages[int32](len(f.names))
	}
	memo := newClassMemo()
	for p := range int32(len(f.names)) {
		m := memo.of(sh, nc.class(p))
		r.slots.set(p, m.slots)
		if len(sh.pairs) > 0 {
			r.clean.set(p, m.clean)
		}
	}
	r.sumUp(f)
	return r
}

// classMemo caches how many members of one shape fit on a node of each class (nodes of
// equal free capacity), by class.id.
type classMemo struct{ byID []classSlots }

type classSlots struct {
	counted      bool
	slots, clean int32
}

func newClassMemo() *classMemo { return &classMemo{} }

func (m *classMemo) of(sh *shape, c *class) classSlots {
	for int(c.id) >= len(m.byID) {
		m.byID = append(m.byID, make([]classSlots, len(m.byID)+64)...)
	}
	e := &m.byID[c.id]
	if !e.counted {
		e.counted = true
		e.slots = sh.slots(c)
		e.clean = sh.paired(c, e.slots)
	}
	return *e
}

// sumUp computes sum, cleanSum and most of every vertex, finest depth first.
func (r *rollup) sumUp(f *fabric) {
	n := f.levels + 1
	r.sum, r.cleanSum, r.most = make([][]int64, n), make([][]int64, n), make([][]int32, n)
	for d := f.levels; d >= 0; d-- {
		verts := f.tables[d].verts
		r.sum[d], r.cleanSum[d], r.most[d] = make([]int64, len(verts)), make([]int64, len(verts)), make([]int32, len(verts))
		for v := range verts {
			r.sumVertex(f, d, int32(v))
		}
	}
	r.findTop()
}

func (r *rollup) findTop() {
	r.top = make([]int64, len(r.sum))
	for d := range r.sum {
		for _, n := range r.sum[d] {
			r.top[d] = max(r.top[d], n)
		}
	}
}

func (r *rollup) sumVertex(f *fabric, d int, v int32) {
	x := &f.tables[d].verts[v]
	var sum, clean int64
	var most int32
	for k := x.kidLo; k < x.kidHi; k++ {
		if d == f.levels {
			sum += int64(r.slots.at(k))
			clean += int64(r.clean.at(k))
			most = max(most, r.slots.at(k))
			continue
		}
		sum += r.sum[d+1][k]
		clean += r.cleanSum[d+1][k]
		most = max(most, r.most[d+1][k])
	}
	r.sum[d][v], r.cleanSum[d][v], r.most[d][v] = sum, clean, most
}

// advance returns a rollup updated with all nodes that the log lists as changed. It
// recounts only these nodes and the vertices above them.
func (nc *nodeClasses) advance(old *rollup) *rollup {
	f := nc.fabric
	r := &rollup{shape: old.shape, at: len(nc.log), slots: old.slots, clean: old.clean}
	for d := 0; d <= f.levels; d++ {
		r.sum = append(r.sum, slices.Clone(old.sum[d]))
		r.cleanSum = append(r.cleanSum, slices.Clone(old.cleanSum[d]))
		r.most = append(r.most, slices.Clone(old.most[d]))
	}
	for d, dirty := f.levels, r.recount(nc, nc.log[old.at:]); d >= 0; d-- {
		dirty = f.above(d, dirty)
		for _, v := range dirty {
			r.sumVertex(f, d, v)
		}
	}
	r.findTop()
	return r
}

// recount updates how many members fit on each changed node. It returns the sorted
// positions of the nodes where the numbers differ now.
func (r *rollup) recount(nc *nodeClasses, changed []int32) []int32 {
	slots, clean := edit(r.slots), edit(r.clean)
	var dirty []int32
	for _, p := range changed {
		c := nc.class(p)
		n := r.shape.slots(c)
		paired := r.shape.paired(c, n)
		if n != slots.at(p) || paired != clean.at(p) {
			slots.set(p, n)
			clean.set(p, paired)
			dirty = append(dirty, p)
		}
	}
	r.slots, r.clean = slots.pages, clean.pages
	slices.Sort(dirty)
	return slices.Compact(dirty)
}
