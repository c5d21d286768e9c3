// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// coverBounds computes lower bounds of the cost of victims (occupants that may be evicted). A
// domain lacks, for each role of a gang, a number of slots (members that fit) and, for each
// dimension (a resource, or a set of device kinds), an amount. A cover is a choice of victims,
// or of shares of them, that frees what the domain lacks of one of these. The cheapest cover
// costs no more than any set of victims without which the domain holds the gang.
//
// The cost is a vector, and each of its terms has its own bound. The bound of a term holds for
// all sets that cost as much as the bounds of the terms before it. So the vector of the bounds
// is a lower bound in lexicographic order.
type coverBounds struct {
	victims *victims
	// all counts the slots of each node while all victims are gone.
	all *emptied
	// least has, by role, the fewest pending members that any quorum (enough members for the
	// gang to start) has. leastOf has, by dimension, the least amount that a quorum takes.
	least, leastOf []int64
	// slots and amounts are the covers of slots of a role and of an amount of a dimension.
	slots   slotCover
	amounts amountCover
}

// cover bounds the cost of victims that free what one domain lacks: slots of a role, or an
// amount of a dimension. The open victims are those that the search may still evict.
type cover interface {
	// suffices returns false if the open victims for which allowed returns true do not free
	// enough.
	suffices(allowed func(i int32) bool) bool
	// least returns a lower bound of one term of the cost of allowed victims that free enough,
	// and one of the victims in the cheapest cover.
	least(term int, allowed func(i int32) bool) (cost int64, next int32)
}

func newCoverBounds(v *victims, all *emptied) *coverBounds {
	b := &coverBounds{victims: v, all: all}
	for r := range all.p.roles {
		b.least = append(b.least, all.leastOf(func(quorum []int64) int64 { return quorum[r] }))
	}
	for d := range all.free {
		b.leastOf = append(b.leastOf, all.leastOf(func(quorum []int64) int64 { return all.demand(quorum, d) }))
	}
	b.slots = slotCover{victims: v, all: all, nodes: make([]coverNode, len(all.nodes)), total: make([]float64, len(v.list)), price: make([]float64, len(v.list))}
	b.amounts = amountCover{victims: v}
	return b
}

// leastOf returns the smallest value that a function has for a quorum, 0 without quorums.
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

// bound returns a lower bound of the cost of a set of victims without which domain v holds the
// members of the focus (the roles that one domain must hold). The set has the victims that are
// gone in e, and otherwise only victims in open, which is ascending. bound may leave out all
// terms after the first that differs from toBeat, which may be nil. next is a victim in the
// cheapest cover, -1 if the domain lacks nothing. ok is false if there is no such set.
func (b *coverBounds) bound(e *emptied, open []int32, v int32, toBeat []int64) (cost []int64, next int32, ok bool) {
	base := b.victims.cost(e.gone)
	cost, next = base, -1
	raise := func(c cover) bool {
		x := lexicographic{victims: b.victims, cover: c, open: open, toBeat: toBeat}
		bound, victim, ok := x.bound(base)
		if ok && (next < 0 || slices.Compare(bound, cost) > 0) {
			cost, next = bound, victim
		}
		return ok
	}
	for _, r := range e.focus.roles {
		if lack := b.least[r] - e.slots[r][v]; lack > 0 {
			if b.slots.set(e, open, r, v, lack); !raise(&b.slots) {
				return nil, -1, false
			}
		}
	}
	for d := range e.free {
		if lack := b.leastOf[d] - e.free[d][v]; lack > 0 {
			if b.amounts.set(e, open, d, v, lack); !raise(&b.amounts) {
				return nil, -1, false
			}
		}
	}
	return cost, next, true
}

// lexicographic bounds the terms of the cost one after the other, with one cover.
type lexicographic struct {
	*victims
	cover
	open   []int32
	toBeat []int64
}

// bound returns a lower bound of the cost of a set that costs base and the open victims that
// must join the set. ok is false if all open victims together do not free enough.
func (x *lexicographic) bound(base []int64) (cost []int64, next int32, ok bool) {
	if !x.suffices(func(int32) bool { return true }) {
		return nil, -1, false
	}
	cost, next = slices.Clone(base), x.open[0]
	harmless := func(i int32) bool { return x.list[i].cost[breachTerm] == 0 }
	if !x.suffices(harmless) {
		// At least one victim with breaches (limits on evictions that its eviction breaks) must
		// leave. The first such victim has the fewest: open is in ascending order of cost.
		first := slices.IndexFunc(x.open, func(i int32) bool { return !harmless(i) })
		cost[breachTerm] += x.list[x.open[first]].cost[breachTerm]
		return cost, x.open[first], true
	}
	cost[priorityTerm] = x.priority(base[priorityTerm], harmless)
	allowed := func(i int32) bool { return harmless(i) && x.list[i].cost[priorityTerm] <= cost[priorityTerm] }
	for t := firstSum; t < len(cost); t++ {
		if x.toBeat != nil && !slices.Equal(cost[:t], x.toBeat[:t]) {
			break
		}
		least, victim := x.least(t, allowed)
		if next = victim; least > 0 {
			cost[t] += min(least, math.MaxInt64-cost[t])
			continue
		}
		// The bound of this term stays as it is. A set is above it with any victim for which the
		// term is not 0, so the later terms need to bound only sets without such victims.
		before := allowed
		allowed = func(i int32) bool { return before(i) && x.list[i].cost[t] == 0 }
	}
	return cost, next, true
}

// priority returns the lowest priority, least or above, such that harmless open victims (those
// without breaches) of no higher priority free enough.
func (x *lexicographic) priority(least int64, harmless func(i int32) bool) int64 {
	priorities := []int64{least}
	for _, i := range x.open {
		if p := x.list[i].cost[priorityTerm]; p > priorities[len(priorities)-1] && harmless(i) {
			priorities = append(priorities, p)
		}
	}
	at := sort.Search(len(priorities)-1, func(k int) bool {
		return x.suffices(func(i int32) bool { return harmless(i) && x.list[i].cost[priorityTerm] <= priorities[k] })
	})
	return priorities[at]
}

// amountCover is the cover of an amount of a dimension that a domain lacks. Victims cover the
// amount if the sum of what they free in the domain is no smaller.
type amountCover struct {
	victims *victims
	lack    int64
	items   []coverItem
	sorted  []coverItem
}

// coverItem is a victim with the amount that it frees in the domain.
type coverItem struct {
	victim int32
	amount int64
}

// set prepares the cover of the amount lack of dimension d in domain v by open victims.
func (c *amountCover) set(e *emptied, open []int32, d int, v int32, lack int64) {
	c.lack, c.items = lack, c.items[:0]
	for _, i := range open {
		sum := int64(0)
		for _, u := range c.victims.list[i].uses {
			if e.p.snap.fabric.at(e.focus.depth, u.pos) == v {
				sum += e.p.dims[d].used(u.Usage)
			}
		}
		if sum > 0 {
			c.items = append(c.items, coverItem{i, sum})
		}
	}
}

// used returns how much of the dimension a usage takes.
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

func (c *amountCover) suffices(allowed func(i int32) bool) bool {
	sum := int64(0)
	for _, item := range c.items {
		if allowed(item.victim) {
			sum += item.amount
		}
	}
	return sum >= c.lack
}

func (c *amountCover) least(term int, allowed func(i int32) bool) (cost int64, next int32) {
	c.sorted = c.sorted[:0]
	for _, item := range c.items {
		if allowed(item.victim) {
			c.sorted = append(c.sorted, item)
		}
	}
	if len(c.sorted) == 0 {
		return 0, c.items[0].victim
	}
	ratio := func(item coverItem) float64 {
		return float64(c.victims.list[item.victim].cost[term]) / float64(item.amount)
	}
	slices.SortStableFunc(c.sorted, func(a, b coverItem) int { return cmp.Compare(ratio(a), ratio(b)) })
	sum, left := 0.0, c.lack
	for _, item := range c.sorted {
		part := min(item.amount, left)
		sum += float64(ratio(item) * float64(part))
		if left -= part; left == 0 {
			break
		}
	}
	return wholeCost(sum), c.sorted[0].victim
}

// wholeCost rounds a cost up to an integer. It first subtracts slack for rounding errors, so
// that the result is still a lower bound.
func wholeCost(sum float64) int64 {
	const slack = 1e-9
	if sum >= math.MaxInt64/2 {
		return math.MaxInt64 / 2
	}
	return int64(math.Ceil(sum - slack*max(1, sum)))
}
