// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// class holds the free resources and devices that several nodes have in common. It is
// immutable, except for refs, the number of these nodes. Only the State (the planner's
// mutable model of the cluster) reads and writes refs.
type class struct {
	id            int32
	depth         int32 // classTable.depth of the table that has the class and counts refs
	refs          int
	hash          uint64
	free          []int64 // free amounts by index of a resource
	kinds         []int64 // free devices by kind, summed over units
	units         []Unit  // the free devices of each alignment unit (such as a PCIe root)
	unschedulable bool
}

// classTable has one class for all nodes of equal free capacity. An id is unique among the
// classes in use at one moment, hence within any Snapshot (a frozen State). Later classes
// reuse ids.
type classTable struct {
	// byHash has the classes by class.hash.
	byHash map[uint64][]*class
	// idle has the ids of removed classes. next is the first id that was never used.
	idle []int32
	next int32
	// depth is 0, or one more than that of the State that this one began as a fork (a copy) of.
	// A fork also uses classes of smaller depths.
	depth int32
}

func newClassTable() classTable {
	return classTable{byHash: map[uint64][]*class{}}
}

// acquire returns the class of a node and increments the class's reference count.
func (t *classTable) acquire(n *NodeSpec) *class {
	h := hashNode(n)
	for _, c := range t.byHash[h] {
		if c.describes(n) {
			c.refs++
			return c
		}
	}
	c := newClass(n, h)
	c.id, c.depth = t.newID(), t.depth
	t.byHash[h] = append(t.byHash[h], c)
	return c
}

// release decrements a class's reference count and removes a class without references. It
// ignores a class of another table: a fork (a State that begins as a copy of another) also uses
// classes of the other State.
func (t *classTable) release(c *class) {
	if c.depth != t.depth {
		return
	}
	if c.refs--; c.refs > 0 {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(t.byHash[c.hash]), func(o *class) bool { return o == c })
	if len(rest) == 0 {
		delete(t.byHash, c.hash)
	} else {
		t.byHash[c.hash] = rest
	}
	t.idle = append(t.idle, c.id)
}

func (t *classTable) newID() int32 {
	if n := len(t.idle); n > 0 {
		id := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return id
	}
	t.next++
	return t.next - 1
}

func newClass(n *NodeSpec, hash uint64) *class {
	c := &class{refs: 1, hash: hash, free: trimmed(n.Free), unschedulable: n.Unschedulable}
	c.units = make([]Unit, len(n.Units))
	for i, u := range n.Units {
		c.units[i].Free = slices.Clone(u.Free)
		for k, v := range u.Free {
			for len(c.kinds) <= k {
				c.kinds = append(c.kinds, 0)
			}
			c.kinds[k] += int64(max(v, 0))
		}
	}
	return c
}

func (c *class) describes(n *NodeSpec) bool {
	return c.unschedulable == n.Unschedulable &&
		slices.Equal(c.free, withoutTail(n.Free)) &&
		slices.EqualFunc(c.units, n.Units, func(a, b Unit) bool { return slices.Equal(a.Free, b.Free) })
}

// equal reports whether the nodes of both classes have equal free capacity. A State has only one
// class for such nodes, but a fork (see State.Fork) may use one of its own and one of the State
// that it began as.
func (c *class) equal(o *class) bool {
	return c.hash == o.hash && c.unschedulable == o.unschedulable && slices.Equal(c.free, o.free) &&
		slices.EqualFunc(c.units, o.units, func(a, b Unit) bool { return slices.Equal(a.Free, b.Free) })
}

// resource returns the free amount of a resource, or zero if the node does not list it.
func (c *class) resource(i int) int64 {
	if i < len(c.free) {
		return c.free[i]
	}
	return 0
}

// devices counts the free devices of any of the kinds.
func (c *class) devices(kinds []int) int64 {
	var n int64
	for _, k := range kinds {
		if k < len(c.kinds) {
			n += c.kinds[k]
		}
	}
	return n
}

func trimmed(v []int64) []int64 { return slices.Clone(withoutTail(v)) }

// hasher mixes 64-bit words to a hash. Different words may have the same hash, so
// classTable also compares the values.
type hasher uint64

func (h *hasher) add(v int64) {
	x := uint64(*h) ^ uint64(v)
	x *= 0x9e3779b97f4a7c15
	*h = hasher(x ^ x>>29)
}

func (h *hasher) flag(b bool) {
	if b {
		h.add(1)
	} else {
		h.add(2)
	}
}

func hashNode(n *NodeSpec) uint64 {
	h := hasher(1469598103934665603)
	h.flag(n.Unschedulable)
	for _, v := range withoutTail(n.Free) {
		h.add(v)
	}
	for _, u := range n.Units {
		h.add(-1)
		for _, v := range u.Free {
			h.add(int64(v))
		}
	}
	return uint64(h)
}
