// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// compact frees nodes: it moves all members of a batch (members of one role that are
// placed together) on one node to other nodes of the batch. Filling domain by domain may
// leave room on the last node for all members of an earlier node. A move uses no further
// node. It therefore breaks no rule and raises no cost term. Batches of slices (runs of
// members that belong together) do not move, nor members that take items of a pool (such
// as volumes) or whose role is in a conflict (a combination that the filters have
// refused): the other nodes may have room for each of these members, but not for all.
func (pp *partial) compact() {
	for i := range pp.p.batches {
		x := &pp.p.batches[i]
		if r := &pp.p.roles[x.role]; !x.sliced && !r.pooled && len(r.conflicts) == 0 {
			for pp.emptyNode(int32(i)) {
				pp.p.steps++
			}
		}
	}
}

// emptyNode moves all members of a batch off one node, to other nodes of the batch. It
// chooses the node with the fewest members that it can free. It returns false if there is
// none.
func (pp *partial) emptyNode(batch int32) bool {
	role := pp.p.batches[batch].role
	roomy := func(l place) bool { return l.batch == batch && pp.cleanRoom(role, l.pos) > 0 }
	if !slices.ContainsFunc(pp.log, roomy) {
		return false
	}
	nodes := pp.nodesOf(batch)
	spare := int32(0)
	for _, s := range nodes {
		spare += pp.cleanRoom(role, s.pos)
	}
	for _, s := range nodes {
		if s.n > spare-pp.cleanRoom(role, s.pos) {
			continue
		}
		if pp.move(batch, s, nodes) {
			return true
		}
	}
	return false
}

// nodesOf lists the nodes of a batch with its members there, the node with the fewest
// first.
func (pp *partial) nodesOf(batch int32) []place {
	var nodes []place
	for _, l := range pp.log {
		if l.batch == batch {
			nodes = append(nodes, l)
		}
	}
	slices.SortFunc(nodes, func(x, y place) int { return cmp.Or(cmp.Compare(x.pos, y.pos), cmp.Compare(x.n, y.n)) })
	out := nodes[:0]
	for _, s := range nodes {
		if n := len(out); n > 0 && out[n-1].pos == s.pos {
			out[n-1].n += s.n
			continue
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(x, y place) int { return cmp.Compare(x.n, y.n) })
	return out
}

// cleanRoom returns how many more members of a role the node at pos holds while all
// follower devices (NICs) are in alignment units (such as PCIe roots) with anchors (GPUs)
// of their member.
func (pp *partial) cleanRoom(role int, pos int32) int32 {
	return max(0, min(pp.slots(role, pos), pp.p.roles[role].roll.clean.at(pos)-pp.on(role, pos)))
}

// move moves the members of a batch on the node of from to the batch's other nodes. It
// returns false and moves none unless the other nodes have room for all these members and
// the filters accept each.
func (pp *partial) move(batch int32, from place, nodes []place) bool {
	role := pp.p.batches[batch].role
	left := from.n
	var to []place
	for i := len(nodes) - 1; i >= 0 && left > 0; i-- {
		s := nodes[i]
		if s.pos == from.pos {
			continue
		}
		if n := pp.admitted(role, s.pos, min(left, pp.cleanRoom(role, s.pos))); n > 0 {
			to = append(to, place{batch, 0, s.pos, n})
			left -= n
		}
	}
	if left > 0 {
		return false
	}
	log := slices.DeleteFunc(slices.Clone(pp.log), func(l place) bool { return l.batch == batch && l.pos == from.pos })
	pp.undo(0)
	for _, l := range append(log, to...) {
		pp.put(l.batch, l.slice, l.pos, l.n)
	}
	return true
}
