// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"math"
	"slices"
)

// victim is an occupant (running pods that leave their nodes together) that Clear may evict,
// compiled for the search. Victims are numbered in ascending order of cost, then of names.
type victim struct {
	index int // in the caller's list of occupants
	name  string
	// cost is the cost of the set that has only this victim: its breaches (limits on evictions
	// that its eviction breaks), its priority, its further costs, and 1 for the number of
	// victims.
	cost []int64
	uses []usageAt
	// before has the victims that must leave before this one or with it. after has the victims
	// that must stay if this one stays. Both include indirect dependencies, by other victims.
	before, after []int32
}

// The indices of terms in the cost of a set of victims. From firstSum on, the terms are sums.
const (
	breachTerm = iota
	priorityTerm
	firstSum
)

// noPriority stands for the largest priority in a set without victims.
const noPriority = math.MinInt64

// victims has all occupants that may be evicted, in ascending order of cost.
type victims struct {
	list  []victim
	terms int // the number of terms of a cost
}

// newVictims compiles the occupants, except those that leave already. The list must be valid
// (see checkOccupants).
func newVictims(f *fabric, list []Occupant) *victims {
	v := &victims{terms: firstSum + 1}
	for i := range list {
		v.terms = max(v.terms, firstSum+len(list[i].Cost)+1)
	}
	var sorted []*victim
	for i := range list {
		if !list[i].Leaving {
			sorted = append(sorted, v.compile(f, &list[i], i))
		}
	}
	slices.SortFunc(sorted, func(a, b *victim) int {
		if c := slices.Compare(a.cost, b.cost); c != 0 {
			return c
		}
		return natural(a.name, b.name)
	})
	v.list = make([]victim, len(sorted))
	for i, victim := range sorted {
		v.list[i] = *victim
	}
	v.order(list)
	return v
}

func (v *victims) compile(f *fabric, o *Occupant, index int) *victim {
	out := &victim{index: index, name: o.Name, cost: make([]int64, v.terms)}
	out.cost[breachTerm], out.cost[priorityTerm] = o.Breaches, o.Priority
	copy(out.cost[firstSum:], o.Cost)
	out.cost[v.terms-1] = 1
	out.uses = usesAt(f, o.Uses)
	return out
}

// order sets before and after of each victim. It ignores occupants that leave already: they are
// gone in every plan of the search.
func (v *victims) order(list []Occupant) {
	rank := make(map[string]int32, len(v.list))
	for i := range v.list {
		rank[v.list[i].name] = int32(i)
	}
	for i := range v.list {
		if len(list[v.list[i].index].After) == 0 {
			continue
		}
		seen := map[int32]bool{}
		v.collect(list, rank, v.list[i].index, seen)
		v.list[i].before = sortedKeys(seen)
		for _, k := range v.list[i].before {
			v.list[k].after = append(v.list[k].after, int32(i))
		}
	}
}

// collect adds to seen the victims that must leave before the occupant at index in list. rank
// has the numbers of the victims by name.
func (v *victims) collect(list []Occupant, rank map[string]int32, index int, seen map[int32]bool) {
	for _, name := range list[index].After {
		k, ok := rank[name]
		if !ok || seen[k] {
			continue
		}
		seen[k] = true
		v.collect(list, rank, v.list[k].index, seen)
	}
}

// cost returns the cost of a set of victims.
func (v *victims) cost(gone []bool) []int64 {
	sum := v.noCost()
	for i, is := range gone {
		if is {
			sum = addCost(sum, v.list[i].cost)
		}
	}
	return sum
}

// noCost returns the cost of the set without victims.
func (v *victims) noCost() []int64 {
	sum := make([]int64, v.terms)
	sum[priorityTerm] = noPriority
	return sum
}

// addCost adds the cost more of a victim to the cost sum of a set. It changes sum and returns
// it.
func addCost(sum, more []int64) []int64 {
	for t, c := range more {
		if t == priorityTerm {
			sum[t] = max(sum[t], c)
			continue
		}
		if sum[t] > math.MaxInt64-c {
			c = math.MaxInt64 - sum[t]
		}
		sum[t] += c
	}
	return sum
}

// closed adds to a set the victims that must leave before those in the set.
func (v *victims) closed(gone []bool) {
	for i := range gone {
		if gone[i] {
			for _, k := range v.list[i].before {
				gone[k] = true
			}
		}
	}
}

// on returns the victims of a set that use some of these nodes, and the victims that must leave
// before them.
func (v *victims) on(gone []bool, nodes []int32) []bool {
	used := make(map[int32]bool, len(nodes))
	for _, pos := range nodes {
		used[pos] = true
	}
	out := make([]bool, len(gone))
	for i := range gone {
		out[i] = gone[i] && slices.ContainsFunc(v.list[i].uses, func(u usageAt) bool { return used[u.pos] })
	}
	v.closed(out)
	return out
}

// needed reports whether the set has a victim that can leave only if victim i leaves.
func (v *victims) needed(gone []bool, i int) bool {
	return slices.ContainsFunc(v.list[i].after, func(k int32) bool { return gone[k] })
}
