// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// slotCover bounds the cost of victims (occupants that may be evicted) that free the slots (members
// of a role that fit) which a domain lacks.
//
// The cost of a victim is divided among its nodes in the domain, in proportion to what it frees
// on each. A node gets k further slots only if victims on it free k times what a member takes
// of each dimension (a resource, or a set of device kinds), less what remains free beside the
// present slots. For each node, slotCover looks at one dimension: the one of which the node
// lacks the largest share of what a member takes. The cheapest shares of the node's victims
// that free this amount cost no more than k slots there. The domain takes its slots where they
// are cheapest. A node may give a part of its slots, at the lowest average cost that any number
// of further slots has there.
type slotCover struct {
	victims *victims
	// all counts the slots of each node while all victims are gone.
	all *emptied
	// lack is the number of slots that the domain lacks.
	lack int64
	// nodes has, by position, the nodes of the domain with victims. An entry is valid if its
	// round is the current one. used lists the positions of the valid entries.
	nodes []coverNode
	used  []int32
	round int
	// total has, by open victim, the sum of what it frees on nodes of the domain. The unit is
	// what one member takes.
	total []float64
	// price has, by allowed victim, the term of its cost that least bounds, divided by total.
	price []float64
	uses  []coverUse
	steps []slotStep
	// corners has the numbers of further slots of one node at which the lowest average cost
	// changes. It is scratch memory, as costs is.
	corners []int
	costs   []float64
}

// coverNode is a node whose victims may leave.
type coverNode struct {
	round int
	// most is the number of further slots if all victims leave, at most the number that the
	// domain lacks. dim is the dimension that the cover looks at, -1 if the node lacks none.
	// take is what a member takes of dim, and spare what remains free of dim beside the
	// present slots.
	most        int64
	dim         int
	take, spare int64
	// freed is the sum of what allowed victims free of dim. It is valid within a call of
	// suffices. uses has the indices in slotCover.uses of the node's allowed victims. It is
	// valid within a call of least.
	freed int64
	uses  []int32
}

// coverUse is the amount that a victim frees on a node of the dimension that the cover looks at
// there.
type coverUse struct {
	victim int32
	pos    int32
	amount int64
}

// slotStep is a number of further slots of one node that cost the same.
type slotStep struct {
	each   float64 // the cost of each slot
	slots  int64
	victim int32 // the node's victim with the lowest price
}

// set prepares the cover of as many slots of role r as domain v lacks, by open victims.
func (c *slotCover) set(e *emptied, open []int32, r int, v int32, lack int64) {
	c.lack, c.used, c.uses = lack, c.used[:0], c.uses[:0]
	c.round++
	for _, i := range open {
		sum := 0.0
		for _, u := range c.victims.list[i].uses {
			if e.p.snap.fabric.at(e.focus.depth, u.pos) != v {
				continue
			}
			n := c.node(e, r, u.pos)
			if n.most <= 0 {
				continue
			}
			amount := n.take
			if n.dim >= 0 {
				amount = e.p.roles[r].roll.shape.dims[n.dim].used(u.Usage)
			}
			if amount > 0 {
				c.uses = append(c.uses, coverUse{i, u.pos, amount})
				sum += float64(amount) / float64(n.take)
			}
		}
		c.total[i] = sum
	}
}

// node returns the entry of the node at position pos. It creates the entry if there is no valid
// one.
func (c *slotCover) node(e *emptied, r int, pos int32) *coverNode {
	n := &c.nodes[pos]
	if n.round == c.round {
		return n
	}
	*n = coverNode{round: c.round, dim: -1, take: 1, uses: n.uses[:0]}
	free, slots := e.p.snap.class(pos), int64(e.p.slotsAt(r, pos))
	if changed := e.nodes[pos]; changed != nil {
		free, slots = &changed.class, int64(changed.slots[r])
	}
	if emptied := c.all.nodes[pos]; emptied != nil {
		n.most = min(int64(emptied.slots[r])-slots, c.lack)
	}
	shape, short := e.p.roles[r].roll.shape, 0.0
	for d, take := range shape.takes {
		spare := max(0, shape.dims[d].free(free)-slots*take)
		if share := float64(take-spare) / float64(take); spare < take && share > short {
			n.dim, n.take, n.spare, short = d, take, spare, share
		}
	}
	c.used = append(c.used, pos)
	return n
}

func (c *slotCover) suffices(allowed func(i int32) bool) bool {
	for _, pos := range c.used {
		c.nodes[pos].freed = 0
	}
	for i := range c.uses {
		if u := &c.uses[i]; allowed(u.victim) {
			c.nodes[u.pos].freed += u.amount
		}
	}
	slots := int64(0)
	for _, pos := range c.used {
		n := &c.nodes[pos]
		switch {
		case n.freed == 0:
		case n.dim < 0:
			slots += n.most
		default:
			slots += min(n.most, (n.freed+n.spare)/n.take)
		}
	}
	return slots >= c.lack
}

func (c *slotCover) least(term int, allowed func(i int32) bool) (cost int64, next int32) {
	c.share(term, allowed)
	c.steps = c.steps[:0]
	for _, pos := range c.used {
		c.addSteps(&c.nodes[pos])
	}
	slices.SortStableFunc(c.steps, func(a, b slotStep) int { return cmp.Compare(a.each, b.each) })
	sum, left := 0.0, c.lack
	for _, step := range c.steps {
		slots := min(step.slots, left)
		sum += float64(step.each * float64(slots))
		if left -= slots; left == 0 {
			break
		}
	}
	if len(c.steps) == 0 {
		return 0, c.uses[0].victim
	}
	return wholeCost(sum), c.steps[0].victim
}

// share sets the price of each victim, and lists the allowed victims of each node, those with
// the lowest price first.
func (c *slotCover) share(term int, allowed func(i int32) bool) {
	for _, pos := range c.used {
		c.nodes[pos].uses = c.nodes[pos].uses[:0]
	}
	for i := 0; i < len(c.uses); {
		victim := c.uses[i].victim
		may := allowed(victim)
		c.price[victim] = float64(c.victims.list[victim].cost[term]) / c.total[victim]
		for ; i < len(c.uses) && c.uses[i].victim == victim; i++ {
			if may {
				c.insert(&c.nodes[c.uses[i].pos], int32(i))
			}
		}
	}
}

// insert adds a use to the uses of a node, which are in ascending order of price.
func (c *slotCover) insert(n *coverNode, use int32) {
	price, at := c.price[c.uses[use].victim], len(n.uses)
	n.uses = append(n.uses, use)
	for ; at > 0 && c.price[c.uses[n.uses[at-1]].victim] > price; at-- {
		n.uses[at] = n.uses[at-1]
	}
	n.uses[at] = use
}

// addSteps adds the steps of a node: first the number of further slots with the lowest average
// cost, then, from there, the next such number, and so on.
func (c *slotCover) addSteps(n *coverNode) {
	if len(n.uses) == 0 {
		return
	}
	if n.dim < 0 {
		u := &c.uses[n.uses[0]]
		c.steps = append(c.steps, slotStep{c.price[u.victim] / float64(n.most), n.most, u.victim})
		return
	}
	costs := c.costsOf(n)
	each := func(from, to int) float64 { return (costs[to] - costs[from]) / float64(to-from) }
	c.corners = append(c.corners[:0], 0)
	for k := 1; k < len(costs); k++ {
		last := len(c.corners) - 1
		for last > 0 && each(c.corners[last-1], c.corners[last]) >= each(c.corners[last], k) {
			c.corners, last = c.corners[:last], last-1
		}
		c.corners = append(c.corners, k)
	}
	for i, k := range c.corners[1:] {
		from := c.corners[i]
		c.steps = append(c.steps, slotStep{each(from, k), int64(k - from), c.uses[n.uses[0]].victim})
	}
}

// costsOf returns, by number of further slots of a node from 0, a lower bound of their cost. It
// ends at the largest number that the node's allowed victims can free.
func (c *slotCover) costsOf(n *coverNode) []float64 {
	costs := append(c.costs[:0], 0)
	freed, sum, at := int64(0), 0.0, 0
	for k := int64(1); k <= n.most; k++ {
		lack := k*n.take - n.spare
		for at < len(n.uses) {
			u := &c.uses[n.uses[at]]
			if freed+u.amount >= lack {
				break
			}
			freed += u.amount
			sum += float64(c.price[u.victim] * float64(u.amount) / float64(n.take))
			at++
		}
		if at == len(n.uses) {
			break
		}
		costs = append(costs, sum+float64(c.price[c.uses[n.uses[at]].victim]*float64(lack-freed)/float64(n.take)))
	}
	c.costs = costs
	return costs
}
