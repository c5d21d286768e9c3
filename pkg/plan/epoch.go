// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"sync"
)

// maxRollups is the maximum number of needs (what one member takes of its node) for which
// counts of members that fit are kept between plans. A cluster runs members with few
// different needs at a time.
const maxRollups = 64

// maxSums is the maximum number of dimensions (resources, or sets of device kinds) whose
// free amounts are kept between plans. A plan with several roles reads a few of them.
const maxSums = 256

// If there were more changes of nodes than 1/countAnew of the nodes, a rollup is counted anew. A
// new count computes each class (nodes of equal free capacity) once, an update each change.
const countAnew = 4

// epoch keeps counts between plans while the tree of domains and nodes is unchanged: how
// many members with a need fit (rollups), and the free amounts of resources and devices
// (sums).
type epoch struct {
	mu sync.RWMutex
	// byHash has the rollups by the hash of their need. order lists these hashes, the
	// oldest first.
	byHash map[uint64]*rollup
	order  []uint64
	// sums has the sums by the hash of their dimension.
	sums map[uint64]*resourceSums
}

func newEpoch() *epoch { return &epoch{byHash: map[uint64]*rollup{}, sums: map[uint64]*resourceSums{}} }

// rollup returns how many members with a need fit on each node and in each domain, and
// how many nodes it counted for this. It updates the counts of an earlier plan if there
// are any.
func (e *epoch) rollup(nc *nodeClasses, n *Need) (r *rollup, touched int, err error) {
	h := n.hash()
	old := e.find(h, n)
	if old != nil && old.at == len(nc.log) {
		return old, 0, nil
	}
	switch {
	case old == nil || old.at > len(nc.log):
		sh, err := newShape(n)
		if err != nil {
			return nil, 0, err
		}
		r = nc.count(sh)
		touched = len(nc.fabric.names)
	case (len(nc.log)-old.at)*countAnew > len(nc.fabric.names):
		r = nc.count(old.shape)
		touched = len(nc.fabric.names)
	default:
		r = nc.advance(old)
		touched = len(nc.log) - old.at
	}
	e.keep(h, r)
	return r, touched, nil
}

// resourceSums returns the free amount of a dimension (a resource, or a set of device
// kinds) in each domain. It updates the sums of an earlier plan if there are any.
func (e *epoch) resourceSums(nc *nodeClasses, d *dimension) *resourceSums {
	h := d.hash()
	old := e.findSums(h, d)
	switch {
	case old != nil && old.at == len(nc.log):
		return old
	case old == nil || old.at > len(nc.log):
		old = nc.sumResources(d)
	default:
		old = nc.updateSums(old)
	}
	e.keepSums(h, old)
	return old
}

func (e *epoch) find(h uint64, n *Need) *rollup {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if r := e.byHash[h]; r != nil && r.shape.need.equal(n) {
		return r
	}
	return nil
}

// keep stores the rollup (counts of members that fit) of the need with hash h, unless a
// newer one is stored. Beyond maxRollups it evicts the need that came first.
func (e *epoch) keep(h uint64, r *rollup) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.byHash[h]
	if old != nil && old.at > r.at && old.shape.need.equal(&r.shape.need) {
		return
	}
	if old == nil {
		e.order = append(e.order, h)
	}
	e.byHash[h] = r
	if len(e.order) > maxRollups {
		delete(e.byHash, e.order[0])
		e.order = slices.Clone(e.order[1:])
	}
}

func (e *epoch) findSums(h uint64, d *dimension) *resourceSums {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if t := e.sums[h]; t != nil && t.dim.equal(d) {
		return t
	}
	return nil
}

// keepSums stores the sums of the dimension with hash h, unless newer ones are stored. If
// maxSums are stored already, and none of them is for this dimension, it first drops all:
// plans that need them sum again.
func (e *epoch) keepSums(h uint64, t *resourceSums) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.sums[h]; old == nil || old.at < t.at || !old.dim.equal(&t.dim) {
		if old == nil && len(e.sums) >= maxSums {
			clear(e.sums)
		}
		e.sums[h] = t
	}
}
