// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"slices"
)

// divide returns true if the items can be divided among the members: a flow from the
// members' takes to the groups of items.
func divide(groups []itemGroup, members []memberGroup) bool {
	f := flow{left: make([]int32, len(groups)), given: make([][]int32, len(groups))}
	for g := range groups {
		f.left[g] = groups[g].count
	}
	for _, m := range members {
		for _, take := range m.takes {
			f.takes = append(f.takes, take)
			for g := range groups {
				f.given[g] = append(f.given[g], 0)
			}
			for wanted := m.count; wanted > 0; {
				n := f.give(len(f.takes)-1, wanted, make([]bool, len(groups)))
				if n == 0 {
					return false
				}
				wanted -= n
			}
		}
	}
	return true
}

// flow gives items to takes.
type flow struct {
	takes [][]bool
	// left is by group, given by group and take.
	left  []int32
	given [][]int32
}

// give gives up to wanted items to a take. It finds other items for the takes that have
// them. It returns the number of items.
func (f *flow) give(take int, wanted int32, seen []bool) int32 {
	for g, will := range f.takes[take] {
		if !will || seen[g] {
			continue
		}
		seen[g] = true
		if n := min(wanted, f.left[g]); n > 0 {
			f.left[g] -= n
			f.given[g][take] += n
			return n
		}
		for other, has := range f.given[g] {
			if has == 0 || other == take {
				continue
			}
			if n := f.give(other, min(wanted, has), seen); n > 0 {
				f.given[g][other] -= n
				f.given[g][take] += n
				return n
			}
		}
	}
	return 0
}

// nested returns true if a take that has a choice takes the item that is of least use to
// the other members. Then any order succeeds if the items can be divided: whenever a
// member takes an item that a division gives to another member, the two can exchange.
// Volumes of single nodes that differ by size alone are so.
func nested(groups []itemGroup, members []memberGroup) bool {
	for a := range groups {
		for b := range groups {
			if a != b && groups[a].size <= groups[b].size && !exchangeable(members, a, b) {
				return false
			}
		}
	}
	return true
}

// exchangeable returns false if some take may choose between groups a and b while another
// accepts only a.
func exchangeable(members []memberGroup, a, b int) bool {
	choice, only := false, false
	for i := range members {
		for _, take := range members[i].takes {
			choice = choice || take[a] && take[b]
			only = only || take[a] && !take[b]
		}
	}
	return !choice || !only
}

// plenty returns true if each take finds an item even after all others that might take it.
func plenty(groups []itemGroup, members []memberGroup) bool {
	for i := range members {
		for _, take := range members[i].takes {
			items, rivals := int32(0), int32(0)
			for g, will := range take {
				if will {
					items += groups[g].count
				}
			}
			for k := range members {
				for _, other := range members[k].takes {
					if overlap(take, other) {
						rivals += members[k].count
					}
				}
			}
			if rivals > items {
				return false
			}
		}
	}
	return true
}

// maxStates is the maximum number of states that an adversary visits. A pool with more of
// them counts as one in which some order fails.
const maxStates = 1 << 12

// adversary searches for an order of members, and for choices between items of equal size,
// that leaves a member without an item.
type adversary struct {
	groups  []itemGroup
	members []memberGroup
	// waiting counts the members of each group without items, left the items.
	waiting, left []int32
	seen          map[string]bool
}

func newAdversary(groups []itemGroup, members []memberGroup) *adversary {
	a := &adversary{groups: groups, members: members, seen: map[string]bool{}}
	for i := range members {
		a.waiting = append(a.waiting, members[i].count)
	}
	for g := range groups {
		a.left = append(a.left, groups[g].count)
	}
	return a
}

// starves returns true if some order from here on leaves a member without an item.
func (a *adversary) starves() bool {
	var key []byte
	for _, n := range a.waiting {
		key = binary.AppendUvarint(key, uint64(n))
	}
	for _, n := range a.left {
		key = binary.AppendUvarint(key, uint64(n))
	}
	if a.seen[string(key)] {
		return false
	}
	if len(a.seen) == maxStates {
		return true
	}
	a.seen[string(key)] = true
	for i := range a.members {
		if a.waiting[i] == 0 {
			continue
		}
		a.waiting[i]--
		failed := a.takes(a.members[i].takes)
		a.waiting[i]++
		if failed {
			return true
		}
	}
	return false
}

// takes takes the remaining items of one member, then goes on with the other members.
func (a *adversary) takes(takes [][]bool) bool {
	if len(takes) == 0 {
		return a.starves()
	}
	choices := a.smallest(takes[0])
	return len(choices) == 0 || slices.ContainsFunc(choices, func(g int) bool {
		a.left[g]--
		failed := a.takes(takes[1:])
		a.left[g]++
		return failed
	})
}

// smallest returns the groups of the smallest items that will do and are left.
func (a *adversary) smallest(take []bool) []int {
	var choices []int
	for g, will := range take {
		if !will || a.left[g] == 0 {
			continue
		}
		if len(choices) > 0 && a.groups[g].size < a.groups[choices[0]].size {
			choices = choices[:0]
		}
		if len(choices) == 0 || a.groups[g].size == a.groups[choices[0]].size {
			choices = append(choices, g)
		}
	}
	return choices
}
