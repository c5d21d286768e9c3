// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "strings"

// total returns the amount of a dimension (a resource, or a set of device kinds) in the
// capacity of a node.
func (d *dimension) total(c *Capacity) int64 {
	if d.resource >= 0 {
		if d.resource < len(c.Resources) {
			return c.Resources[d.resource]
		}
		return 0
	}
	sum := int64(0)
	for _, k := range d.kinds {
		if k < len(c.Kinds) {
			sum = min(sum+c.Kinds[k], Unlimited)
		}
	}
	return sum
}

// capacityAt reads the total amounts of the node at pos, whether used or free. ok is
// false if they are unknown. The result is valid until the next call.
func (p *problem) capacityAt(pos int32) (c *Capacity, ok bool) {
	if p.capacity == nil {
		return nil, false
	}
	p.total.Resources, p.total.Kinds = p.total.Resources[:0], p.total.Kinds[:0]
	return &p.total, p.capacity(p.snap.fabric.names[pos], &p.total)
}

// emptySlots returns the most members of a role that the node at pos could hold if it
// were empty, or maxSlots if the node's capacity is unknown.
func (p *problem) emptySlots(role int, pos int32) int64 {
	c, ok := p.capacityAt(pos)
	if !ok {
		return maxSlots
	}
	r := &p.roles[role]
	n := int64(maxSlots)
	if most := r.spec.Need.PerNode; most > 0 {
		n = min(n, int64(most))
	}
	for d, take := range r.takes {
		if take > 0 {
			n = min(n, p.dims[d].total(c)/take)
		}
	}
	return n
}

// shortage says that some members of a batch (members of one role that are placed together)
// found no room in the domain with vertex v (its index) at this depth of the topology tree.
type shortage struct {
	*batch
	depth   int
	v       int32
	missing int64
}

// never returns why the role of a shortage can never fit the nodes that exist, even if no
// other pod used them. It returns nil if the role might fit, or if the capacity of the
// nodes is unknown.
func (p *problem) never(s shortage) *Never {
	if p.capacity == nil {
		return nil
	}
	if n := p.tooLarge(s.role); n != nil {
		return n
	}
	if s.sliced || s.depth == 0 || !p.confined(s) {
		return nil
	}
	return p.tooMany(s)
}

// confined returns true if a required level demands that one domain, of the depth of the
// shortage, holds all members of its batch.
func (p *problem) confined(s shortage) bool {
	if s.depth == p.required {
		return true
	}
	for _, n := range s.confinements {
		if p.confinements[n].depth == s.depth {
			return true
		}
	}
	return false
}

// tooLarge returns the resource, or the device kinds, of which one member needs more than
// any node has. It returns nil if there is none, or if an empty node would hold a member.
func (p *problem) tooLarge(role int) *Never {
	r, f := &p.roles[role], p.snap.fabric
	most := make([]int64, len(p.dims))
	for pos := range int32(len(f.names)) {
		if p.emptySlots(role, pos) > 0 {
			return nil
		}
		for d := range p.dims {
			most[d] = max(most[d], p.dims[d].total(&p.total))
		}
	}
	for d, take := range r.takes {
		if most[d] < take {
			return &Never{What: p.dimName(d), Need: take, Most: most[d]}
		}
	}
	return nil
}

// tooMany describes the domain with the most room for the shortage's role, among domains
// of the shortage's depth, if all nodes were empty. It returns nil if some domain would
// then hold all members of the batch.
func (p *problem) tooMany(s shortage) *Never {
	f := p.snap.fabric
	last := int32(len(f.names))
	if s.depth <= f.levels {
		last = int32(len(f.tables[s.depth].verts))
	}
	wanted := s.total()
	if p.emptyRoom(s, s.v, wanted) >= wanted {
		return nil // the usual case: the domain, if empty, would hold all members
	}
	n := &Never{Level: p.snap.layout.levelName(s.depth - 1), Wanted: int(wanted)}
	for v := range last {
		if !f.real(s.depth, v) {
			continue
		}
		room := p.emptyRoom(s, v, wanted)
		if room >= wanted {
			return nil
		}
		if lo, hi := f.span(s.depth, v); n.Nodes == 0 || int(room) > n.Room {
			n.Room, n.Nodes = int(room), int(hi-lo)
		}
	}
	return n
}

// emptyRoom returns how many members of the shortage's role the domain with vertex v
// would hold if all its nodes were empty. It stops counting when the result reaches the
// argument most.
func (p *problem) emptyRoom(s shortage, v int32, most int64) int64 {
	lo, hi := p.snap.fabric.span(s.depth, v)
	room := int64(0)
	for pos := lo; pos < hi && room < most; pos++ {
		room += p.emptySlots(s.role, pos)
	}
	return room
}

// dimName returns the name of the resource, or the names of the device kinds, of
// dimension d.
func (p *problem) dimName(d int) string {
	x := &p.dims[d]
	if x.resource >= 0 {
		return p.snap.layout.Resources[x.resource]
	}
	names := make([]string, len(x.kinds))
	for i, k := range x.kinds {
		names[i] = p.snap.layout.Kinds[k]
	}
	return strings.Join(names, "|")
}
