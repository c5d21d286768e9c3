// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// coverUnit is the gain of a whole slot (room for one member of a role), in the fixed-point
// numbers in which gains are counted.
const coverUnit = int64(1) << 20

// coverBounds computes lower bounds of the cost of victims. What a domain lacks for a gang
// is, for each role, a number of slots and, for each dimension (a resource, or a set of
// device kinds), an amount. Victims that may leave in part cover the lack by the cheapest
// share of each: such a fractional cover costs no more than any set of victims.
//
// A node has room for k further members of a role only if its victims free k times what a
// member takes, less what remains free beside the members that fit now. A victim's gain in
// slots is therefore at most what it frees of a dimension, divided by what the first further
// member lacks of it. For each node, the bound uses the dimension that is short by the
// largest share.
type coverBounds struct {
	victims *victims
	// all counts the slots of each node without any victim.
	all *emptied
	// least has, by role, the fewest pending members that a placement has. leastOf has, by
	// dimension, the least amount that they take.
	least, leastOf []int64
	// limits caches, by position, what a node lacks. A value is valid if its round is the
	// current one.
	limits []nodeLack
	round  int
	items  []gain
}

// nodeLack says how much of a dimension the first further member of a role lacks on a node,
// and how many further members the node holds at most. dim is -1 if no dimension is short.
type nodeLack struct {
	round int
	dim   int
	lack  int64
	most  int64
}

// gain is how much a victim adds to what a domain lacks.
type gain struct {
	victim int32
	amount int64
}

func newCoverBounds(v *victims, all *emptied) *coverBounds {
	b := &coverBounds{victims: v, all: all, limits: make([]nodeLack, len(all.nodes))}
	for r := range all.p.roles {
		b.least = append(b.least, all.leastOf(func(quorum []int64) int64 { return quorum[r] }))
	}
	for d := range all.free {
		b.leastOf = append(b.leastOf, all.leastOf(func(quorum []int64) int64 { return all.demand(quorum, d) }))
	}
	return b
}

// leastOf returns the smallest value of a function over all quorums, 0 without quorums.
func (e *emptied) leastOf(of func(quorum []int64) int64) int64 {
	if len(e.quorums) == 0 {
		return 0
	}
	least := int64(math.MaxInt64)
	for _, quorum := range e.quorums {
		least = min(least, of(quorum))
	}
	return least
}

// bound returns a lower bound of the cost of a set of victims without which domain v of the
// focus holds its members, if the set has those that are gone in e and others only of those
// in open. next is a victim that the cheapest cover uses, -1 if nothing is lacking. ok is
// false if there is no such set.
func (b *coverBounds) bound(e *emptied, open []int32, v int32) (cost []int64, next int32, ok bool) {
	base := b.victims.cost(e.gone)
	cost, next = base, -1
	raise := func(lack int64) bool {
		c, n, ok := b.cover(base, lack)
		if ok && (next < 0 || slices.Compare(c, cost) > 0) {
			cost, next = c, n
		}
		return ok
	}
	for _, r := range e.focus.roles {
		if lack := b.least[r] - e.slots[r][v]; lack > 0 {
			if b.slotGains(e, open, r, v); !raise(lack * coverUnit) {
				return nil, -1, false
			}
		}
	}
	for d := range e.free {
		if lack := b.leastOf[d] - e.free[d][v]; lack > 0 {
			if b.amountGains(e, open, d, v); !raise(lack) {
				return nil, -1, false
			}
		}
	}
	return cost, next, true
}

// slotGains sets items to what each victim in open adds, at most, to the slots of a role in
// domain v.
func (b *coverBounds) slotGains(e *emptied, open []int32, r int, v int32) {
	b.items, b.round = b.items[:0], b.round+1
	shape := e.p.roles[r].roll.shape
	for _, i := range open {
		sum := int64(0)
		for _, u := range b.victims.list[i].uses {
			if e.p.snap.fabric.at(e.focus.depth, u.pos) != v {
				continue
			}
			at := b.lack(e, r, u.pos)
			switch {
			case at.most <= 0:
			case at.dim < 0:
				sum += at.most * coverUnit
			default:
				sum += min(at.most*coverUnit, share(shape.dims[at.dim].used(u.Usage), coverUnit, at.lack))
			}
		}
		if sum > 0 {
			b.items = append(b.items, gain{i, sum})
		}
	}
}

// lack returns what the first further member of a role lacks on the node at pos.
func (b *coverBounds) lack(e *emptied, r int, pos int32) *nodeLack {
	at := &b.limits[pos]
	if at.round == b.round {
		return at
	}
	*at = nodeLack{round: b.round, dim: -1}
	c, slots := e.p.snap.class(pos), int64(e.p.slotsAt(r, pos))
	if n := e.nodes[pos]; n != nil {
		c, slots = &n.class, int64(n.slots[r])
	}
	if n := b.all.nodes[pos]; n != nil {
		at.most = int64(n.slots[r]) - slots
	}
	shape := e.p.roles[r].roll.shape
	for d, take := range shape.takes {
		lack := take - max(0, shape.dims[d].free(c)-slots*take)
		if lack > 0 && (at.dim < 0 || float64(lack)/float64(take) > float64(at.lack)/float64(shape.takes[at.dim])) {
			at.dim, at.lack = d, lack
		}
	}
	return at
}

// amountGains sets items to what each victim in open frees of a dimension in domain v.
func (b *coverBounds) amountGains(e *emptied, open []int32, d int, v int32) {
	b.items = b.items[:0]
	for _, i := range open {
		sum := int64(0)
		for _, u := range b.victims.list[i].uses {
			if e.p.snap.fabric.at(e.focus.depth, u.pos) == v {
				sum += e.p.dims[d].used(u.Usage)
			}
		}
		if sum > 0 {
			b.items = append(b.items, gain{i, sum})
		}
	}
}

// used returns how much of the dimension a usage has.
func (d *dimension) used(u *Usage) int64 {
	if d.resource >= 0 {
		if d.resource < len(u.Resources) {
			return u.Resources[d.resource]
		}
		return 0
	}
	sum := int64(0)
	for i := range u.Units {
		sum += u.Units[i].count(d.kinds)
	}
	return sum
}

// cover returns the cost of the cheapest fractional cover of a lack by the items, added to a
// base. next is a victim in it. ok is false if all items together do not cover the lack. The
// items are in ascending order of cost: fewest breaches first, then the lowest priority.
func (b *coverBounds) cover(base []int64, lack int64) (cost []int64, next int32, ok bool) {
	last, sum := 0, int64(0)
	for ; last < len(b.items); last++ {
		if sum += b.items[last].amount; sum >= lack {
			break
		}
	}
	if last == len(b.items) {
		return nil, -1, false
	}
	cost = slices.Clone(base)
	top := b.victims.list[b.items[last].victim].cost
	if top[breachTerm] > 0 {
		// Victims without a breach do not suffice: there is at least the smallest breach.
		first := slices.IndexFunc(b.items, func(g gain) bool { return b.costOf(g, breachTerm) > 0 })
		cost[breachTerm] += b.costOf(b.items[first], breachTerm)
		return cost, b.items[0].victim, true
	}
	cost[priorityTerm] = max(cost[priorityTerm], top[priorityTerm])
	items := b.items
	for i, g := range items {
		if b.costOf(g, breachTerm) > 0 || b.costOf(g, priorityTerm) > cost[priorityTerm] {
			items = items[:i]
			break
		}
	}
	for t := firstSum; t < len(cost); t++ {
		least, at := b.fraction(items, t, lack)
		next = at
		if least > 0 {
			cost[t] += least
			break
		}
		// Items without this cost suffice, and the cheapest sets have no others.
		items = slices.DeleteFunc(items, func(g gain) bool { return b.costOf(g, t) > 0 })
	}
	return cost, next, true
}

func (b *coverBounds) costOf(g gain, term int) int64 { return b.victims.list[g.victim].cost[term] }

// fraction returns the least cost, in one term and rounded up, of items that cover a lack if
// items may be used in part, and the item with the best ratio. It sorts the items.
func (b *coverBounds) fraction(items []gain, term int, lack int64) (cost int64, best int32) {
	slices.SortFunc(items, func(x, y gain) int {
		xHigh, xLow := bits.Mul64(uint64(b.costOf(x, term)), uint64(y.amount))
		yHigh, yLow := bits.Mul64(uint64(b.costOf(y, term)), uint64(x.amount))
		return cmp.Or(cmp.Compare(xHigh, yHigh), cmp.Compare(xLow, yLow), cmp.Compare(x.victim, y.victim))
	})
	for _, g := range items {
		c := b.costOf(g, term)
		if g.amount < lack {
			cost += min(c, math.MaxInt64-cost)
			lack -= g.amount
			continue
		}
		return cost + min(share(c, lack, g.amount), math.MaxInt64-cost), items[0].victim
	}
	return cost, items[0].victim
}

// share returns a*b/of, rounded up, or the largest number if that is larger. of is positive.
func share(a, b, of int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	low, carry := bits.Add64(low, uint64(of-1), 0)
	if high+carry >= uint64(of) {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(high+carry, low, uint64(of))
	return int64(min(quotient, math.MaxInt64))
}
