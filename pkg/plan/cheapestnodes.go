// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"math/bits"
	"slices"
)

// nodeStep is the next step to empty a node: victims (occupants that may be evicted), in ascending
// order of cost, that must leave so that the node holds more members of a role.
type nodeStep struct {
	pos int32 // of the node
	// version is the node's nodeSteps.version when the step was computed. The step is outdated
	// if the node's version is higher now.
	version int32
	gain    int64   // how many more members the node then holds
	cost    []int64 // of the victims
	victims []int32
}

// before reports whether a costs less than b for each member gained. It compares only the
// terms of the cost that are sums, not breaches and priority. Equal steps are in fabric order.
func (a *nodeStep) before(b *nodeStep) bool {
	for t := firstSum; t < len(a.cost); t++ {
		aHigh, aLow := bits.Mul64(uint64(a.cost[t]), uint64(b.gain))
		bHigh, bLow := bits.Mul64(uint64(b.cost[t]), uint64(a.gain))
		if c := cmp.Or(cmp.Compare(aHigh, bHigh), cmp.Compare(aLow, bLow)); c != 0 {
			return c < 0
		}
	}
	return a.pos < b.pos
}

// nodeSteps empties the nodes of a domain for members of one role, the cheapest step first. A
// victim that is gone costs nothing on its other nodes, so their next steps become cheaper.
type nodeSteps struct {
	*clearSearch
	// e counts the members that fit without the victims chosen so far.
	e    *emptied
	role int
	v    int32 // the domain
	// on has, by position of a node, the victims that use the node, in ascending order of cost.
	on map[int32][]int32
	// version has, by position of a node, how often its next step was computed anew.
	version map[int32]int32
	heap    []nodeStep // the next step of each node, cheapest first, and outdated ones
	order   []int32    // the victims chosen so far
	scratch class
}

// cheapestNodes returns the victims of a domain in an order that empties first the nodes which
// are cheapest to empty, until by counts the domain has room. The other victims follow in
// ascending order of cost, among them all that have more breaches (limits on evictions that the
// eviction breaks) or a higher priority than the lower bound of the domain's cost.
func (s *clearSearch) cheapestNodes(d *clearDomain) []int32 {
	n := nodeSteps{
		clearSearch: s, e: s.none.clone(), role: s.mainRole(), v: d.v,
		on: map[int32][]int32{}, version: map[int32]int32{},
	}
	f := s.none.p.snap.fabric
	for _, i := range d.victims {
		c := s.list[i].cost
		if c[breachTerm] > d.bound[breachTerm] || c[priorityTerm] > d.bound[priorityTerm] {
			continue
		}
		for _, u := range s.list[i].uses {
			if f.at(n.e.focus.depth, u.pos) == d.v {
				n.on[u.pos] = append(n.on[u.pos], i)
			}
		}
	}
	for _, pos := range sortedKeys(n.on) {
		n.push(pos)
	}
	n.run()
	gone := n.e.gone
	for _, i := range d.victims {
		for _, k := range s.list[i].before {
			n.add(k, gone)
		}
		n.add(i, gone)
	}
	return n.order
}

// add appends victim i to the order and adds it to the set gone, unless the set has it already.
func (n *nodeSteps) add(i int32, gone []bool) {
	if !gone[i] {
		gone[i] = true
		n.order = append(n.order, i)
	}
}

// mainRole returns the role of the focus (the roles that one domain must hold) whose needed
// members take the most devices.
func (s *clearSearch) mainRole() int {
	return s.none.p.mostDevices(s.none.focus.roles, s.bounds.least)
}

// run takes the cheapest steps until, by counts, the domain holds the members.
func (n *nodeSteps) run() {
	for len(n.heap) > 0 && !n.e.mayHold(n.v) {
		var top nodeStep
		top, n.heap = removeAt(n.heap, 0, (*nodeStep).before)
		if top.version != n.version[top.pos] {
			continue
		}
		changed := map[int32]bool{top.pos: true}
		for _, i := range top.victims {
			n.take(i, changed)
		}
		for _, pos := range sortedKeys(changed) {
			n.version[pos]++
			n.push(pos)
		}
	}
}

// take chooses victim i, and the victims that must leave before it. It adds to changed the
// nodes of those that it had not chosen before.
func (n *nodeSteps) take(i int32, changed map[int32]bool) {
	for _, k := range append(slices.Clone(n.list[i].before), i) {
		if n.e.gone[k] {
			continue
		}
		n.e.remove(n.victims, int(k))
		n.order = append(n.order, k)
		n.addNodes(k, changed)
	}
}

// addNodes adds to changed the nodes of victim k that have steps.
func (n *nodeSteps) addNodes(k int32, changed map[int32]bool) {
	for _, u := range n.list[k].uses {
		if n.on[u.pos] != nil {
			changed[u.pos] = true
		}
	}
}

// push computes the next step of the node at position pos and adds it to the heap. It adds none
// if the node cannot hold more members.
func (n *nodeSteps) push(pos int32) {
	role := &n.e.p.roles[n.role]
	if role.limited && !role.only[pos] {
		return
	}
	n.stats.Steps++
	node := n.e.node(pos)
	n.scratch.copyFrom(&node.class)
	step := nodeStep{pos: pos, version: n.version[pos], cost: make([]int64, n.terms)}
	for _, i := range n.on[pos] {
		if n.e.gone[i] {
			continue
		}
		for _, u := range n.list[i].uses {
			if u.pos == pos {
				n.scratch.add(u.Usage, 1)
			}
		}
		step.victims = append(step.victims, i)
		addCost(step.cost, n.list[i].cost)
		for _, k := range n.list[i].before {
			if !n.e.gone[k] {
				addCost(step.cost, n.list[k].cost)
			}
		}
		if step.gain = int64(role.roll.shape.slots(&n.scratch) - node.slots[n.role]); step.gain > 0 {
			n.heap = append(n.heap, step)
			siftUp(n.heap, len(n.heap)-1, (*nodeStep).before)
			return
		}
	}
}
