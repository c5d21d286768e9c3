// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// domainOf returns the smallest domain of the topology tree that contains all nodes with
// members of the gang.
func (p *problem) domainOf(pp *partial) Domain {
	f := pp.f
	lo, hi := int32(len(f.names)), int32(-1)
	for i := range pp.uses {
		if u := &pp.uses[i]; u.bound || u.members > 0 {
			lo, hi = min(lo, u.pos), max(hi, u.pos)
		}
	}
	if hi < 0 {
		return Domain{Level: p.snap.layout.levelName(-1)}
	}
	for d := f.levels + 1; d > 0; d-- {
		if v := f.at(d, lo); v == f.at(d, hi) && f.real(d, v) {
			return p.domain(d, v)
		}
	}
	return p.domain(0, 0)
}

// assign gives the nodes of a placement to members, and each member its rail (index of an
// alignment unit, such as a PCIe root) and order number. Members with adjacent ranks get
// adjacent nodes in fabric order (the order of the nodes in the topology tree). Slices
// (runs of members that belong together) are ordered by their first node.
func (p *problem) assign(pp *partial) []Assignment {
	perBatch := make([][]place, len(p.batches))
	members := 0
	for _, l := range pp.log {
		perBatch[l.batch] = append(perBatch[l.batch], l)
		members += int(l.n)
	}
	out := make([]Assignment, 0, members)
	nodes := make([]int32, 0, members)
	rails := newRails(p)
	numbers := newOrderNumbers(p)
	for _, i := range p.byRoleName() {
		x := &p.batches[i]
		inFabricOrder(perBatch[i])
		nodes = nodes[:0]
		for _, l := range perBatch[i] {
			for range l.n {
				nodes = append(nodes, l.pos)
			}
		}
		n := 0
		for _, members := range x.members {
			for _, m := range members {
				if n == len(nodes) {
					break
				}
				numbers.add(int32(i), nodes[n], len(out))
				out = append(out, Assignment{
					Role: p.roles[x.role].spec.Name, Member: m.Name,
					Node: pp.f.names[nodes[n]], Rail: rails.take(x.role, nodes[n]),
				})
				n++
			}
		}
	}
	numbers.set(pp.log, out)
	return out
}

// orderNumbers sets Assignment.Order: the number of a member in an order of members that
// the Spread and Affinity rules accept.
type orderNumbers struct {
	p *problem
	// at has, by batch and node, the indices of the assignments that have no number yet. It
	// is nil if no rule depends on the order of members.
	at map[batchNode][]int
}

type batchNode struct{ batch, pos int32 }

func newOrderNumbers(p *problem) orderNumbers {
	if !p.ordered() {
		return orderNumbers{p: p}
	}
	return orderNumbers{p: p, at: map[batchNode][]int{}}
}

// add records the index of an assignment, which puts a member of a batch on the node at
// pos, if a Spread or Affinity rule names the member's role.
func (o *orderNumbers) add(batch, pos int32, index int) {
	if o.at != nil && o.p.roles[o.p.batches[batch].role].ordered() {
		key := batchNode{batch, pos}
		o.at[key] = append(o.at[key], index)
	}
}

// set numbers the recorded assignments from 1, in the order in which the search put members
// on nodes: the order of log.
func (o *orderNumbers) set(log []place, out []Assignment) {
	if o.at == nil {
		return
	}
	number := 0
	for _, l := range log {
		key := batchNode{l.batch, l.pos}
		for range min(int(l.n), len(o.at[key])) {
			number++
			out[o.at[key][0]].Order = number
			o.at[key] = o.at[key][1:]
		}
	}
}

// inFabricOrder sorts the places of a batch by slice (a run of members that belong
// together), then by node position. Slices are ordered by their first node.
func inFabricOrder(places []place) {
	first := map[int32]int32{}
	for _, l := range places {
		if v, ok := first[l.slice]; !ok || l.pos < v {
			first[l.slice] = l.pos
		}
	}
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(first[a.slice], first[b.slice]), cmp.Compare(a.slice, b.slice), cmp.Compare(a.pos, b.pos))
	})
}

// byRoleName returns the indices of the batches (members of one role that are placed
// together), ordered by role name. Batches of one role keep their order.
func (p *problem) byRoleName() []int {
	out := make([]int, len(p.batches))
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, func(a, b int) int {
		return natural(p.roles[p.batches[a].role].spec.Name, p.roles[p.batches[b].role].spec.Name)
	})
	return out
}
