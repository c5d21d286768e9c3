// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// focus is the condition by which Clear divides the fabric: one domain of this depth (0 is the
// whole fabric, 1 the coarsest level) must hold the members of these roles. They are all roles
// of the gang, or those of a confinement (a set of members that one domain must hold).
type focus struct {
	depth int
	roles []int
	// all is true if the roles are all roles of the gang.
	all bool
	// fixed is the domain that must hold the members because some of them run there already,
	// or -1.
	fixed int32
}

// focusOf returns the focus of a problem (a gang compiled for the search): the gang's required
// level, or a deeper confinement. It looks at the confinements of the role whose needed members
// take the most devices, and chooses the deepest. needed has the numbers of members by role.
func (p *problem) focusOf(needed []int64) focus {
	f := focus{depth: p.required, all: true, fixed: -1}
	for r := range p.roles {
		f.roles = append(f.roles, r)
	}
	if v, apart := p.commonDomain(p.required, p.bound); p.required > 0 && len(p.bound) > 0 && !apart {
		f.fixed = v
	}
	for _, k := range p.roles[p.mostDevices(f.roles, needed)].confinements {
		x := &p.confinements[k]
		if x.depth <= f.depth {
			continue
		}
		f = focus{depth: x.depth, fixed: x.fixed}
		for r := range p.roles {
			if slices.Contains(p.roles[r].confinements, k) {
				f.roles = append(f.roles, r)
			}
		}
		f.all = len(f.roles) == len(p.roles)
	}
	return f
}

// mostDevices returns the role in the list whose needed members take the most devices, the
// first of equal ones. needed has the numbers of members by role.
func (p *problem) mostDevices(roles []int, needed []int64) int {
	best, most := roles[0], int64(-1)
	for _, r := range roles {
		if n := needed[r] * int64(1+p.roles[r].spec.Need.devices()); n > most {
			best, most = r, n
		}
	}
	return best
}

// emptied counts how many members of each role fit in the domains of the focus while some
// victims (occupants that may be evicted) are gone. Counts can prove that there is no placement,
// but not that there is one.
type emptied struct {
	p     *problem
	focus focus
	// quorums has, for each quorum (enough members for the gang to start), the numbers of
	// pending members by role. It is nil if the quorums are unknown.
	quorums [][]int64
	nodes   []*emptiedNode // by position, nil for nodes without a change
	// slots has, by role and domain of the focus, how many members fit if they are alone. free
	// has the free amounts by dimension (a resource, or a set of device kinds) and domain. It is
	// nil for a gang with a single role: then slots is enough.
	slots, free [][]int64
	gone        []bool // by victim, whether it is gone
}

// emptiedNode is a node with the free amounts that it has while some victims are gone.
type emptiedNode struct {
	class
	slots []int32 // by role
	free  []int64 // by dimension
}

func newEmptied(p *problem, quorums [][]int64, f focus, victims int) *emptied {
	e := &emptied{p: p, focus: f, quorums: quorums, nodes: make([]*emptiedNode, len(p.snap.fabric.names)), gone: make([]bool, victims)}
	width := p.snap.fabric.width(f.depth)
	for range p.roles {
		e.slots = append(e.slots, make([]int64, width))
	}
	if len(p.roles) > 1 {
		for range p.dims {
			e.free = append(e.free, make([]int64, width))
		}
	}
	for pos := range int32(len(e.nodes)) {
		v := p.snap.fabric.at(f.depth, pos)
		for r := range p.roles {
			e.slots[r][v] += int64(p.slotsAt(r, pos))
		}
		for d := range e.free {
			e.free[d][v] += p.dims[d].amount(p.snap.class(pos))
		}
	}
	return e
}

// clone returns a copy that can be changed. In e itself no victim was ever gone.
func (e *emptied) clone() *emptied {
	c := *e
	c.gone, c.nodes = make([]bool, len(e.gone)), make([]*emptiedNode, len(e.nodes))
	c.slots, c.free = cloneRows(e.slots), cloneRows(e.free)
	return &c
}

func cloneRows(rows [][]int64) [][]int64 {
	var out [][]int64
	for _, row := range rows {
		out = append(out, slices.Clone(row))
	}
	return out
}

// clone returns a copy of a class (nodes of equal free capacity) that may be changed. No State
// has the copy in its table of classes.
func (c *class) clone() class {
	return class{
		free: slices.Clone(c.free), kinds: slices.Clone(c.kinds), units: cloneUnits(c.units), unschedulable: c.unschedulable,
	}
}

// node returns the entry of the node at position pos. It creates a missing entry.
func (e *emptied) node(pos int32) *emptiedNode {
	if e.nodes[pos] != nil {
		return e.nodes[pos]
	}
	n := &emptiedNode{class: e.p.snap.class(pos).clone()}
	for r := range e.p.roles {
		n.slots = append(n.slots, e.p.slotsAt(r, pos))
	}
	for d := range e.free {
		n.free = append(n.free, e.p.dims[d].amount(&n.class))
	}
	e.nodes[pos] = n
	return n
}

// remove counts victim i as gone. It has no effect if the victim is gone already.
func (e *emptied) remove(v *victims, i int) {
	if !e.gone[i] {
		e.gone[i] = true
		e.change(v, i, 1)
	}
}

// restore puts a victim back. It has no effect if the victim is not gone.
func (e *emptied) restore(v *victims, i int) {
	if e.gone[i] {
		e.gone[i] = false
		e.change(v, i, -1)
	}
}

// change adds what victim i uses to the free amounts of its nodes, or subtracts it if sign is
// -1, and updates the counts.
func (e *emptied) change(v *victims, i int, sign int64) {
	for _, u := range v.list[i].uses {
		n, at := e.node(u.pos), e.p.snap.fabric.at(e.focus.depth, u.pos)
		n.class.add(u.Usage, sign)
		for r := range e.p.roles {
			slots := int32(0)
			if role := &e.p.roles[r]; !role.limited || role.only[u.pos] {
				slots = role.roll.shape.slots(&n.class)
			}
			e.slots[r][at] += int64(slots - n.slots[r])
			n.slots[r] = slots
		}
		for d := range e.free {
			free := e.p.dims[d].amount(&n.class)
			e.free[d][at] += free - n.free[d]
			n.free[d] = free
		}
	}
}

// snapshot returns the snapshot of the cluster without the victims that are gone.
func (e *emptied) snapshot() *Snapshot {
	fork := e.p.snap.Fork()
	for pos, n := range e.nodes {
		if n != nil {
			fork.replace(int32(pos), &NodeSpec{Free: n.class.free, Units: n.class.units, Unschedulable: n.unschedulable})
		}
	}
	return fork.Freeze()
}

// mayHold returns false if counts prove that the members of the focus do not fit in domain v.
func (e *emptied) mayHold(v int32) bool {
	if e.focus.depth > 0 && !e.p.snap.fabric.real(e.focus.depth, v) || e.focus.fixed >= 0 && v != e.focus.fixed {
		return false
	}
	return e.quorums == nil || slices.ContainsFunc(e.quorums, func(quorum []int64) bool { return e.holdsQuorum(quorum, v) })
}

func (e *emptied) holdsQuorum(quorum []int64, v int32) bool {
	for _, r := range e.focus.roles {
		if quorum[r] > e.slots[r][v] {
			return false
		}
	}
	for d := range e.free {
		if e.demand(quorum, d) > e.free[d][v] {
			return false
		}
	}
	return true
}

// demand returns how much of dimension d those members of a quorum take that are in the focus.
func (e *emptied) demand(quorum []int64, d int) int64 {
	sum := int64(0)
	for _, r := range e.focus.roles {
		sum += quorum[r] * e.p.roles[r].takes[d]
	}
	return sum
}

// mayHoldSome returns false if counts prove that no domain of the focus holds its members.
func (e *emptied) mayHoldSome() bool {
	for v := range e.p.snap.fabric.width(e.focus.depth) {
		if e.mayHold(v) {
			return true
		}
	}
	return false
}
