// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"slices"
)

// contest is a number of members (pods of a gang) and the groups of interchangeable items
// (such as PersistentVolumes) that they compete for.
type contest struct {
	groups  []itemGroup
	members []memberGroup
}

// memberGroup is a number of members of one user (role) at one site (nodes with the same
// items).
type memberGroup struct {
	count int32
	// takes has, for each item that each member takes, the item groups that will do, as
	// indices in contest.groups.
	takes [][]int32
}

// newContest returns the contest of some members of a part (sites that share items) of a
// pool (items that exist once). counts has the numbers of members by site and user. The
// contest has a member group for each index of counts in rivals, then one for the index
// more.
func newContest(p *poolPart, more int32, rivals, counts []int32) *contest {
	c := &contest{}
	number := map[int32]int32{}
	for _, at := range append(rivals, more) {
		m := memberGroup{count: counts[at]}
		for _, take := range p.takesAt(at) {
			var groups []int32
			for _, g := range take {
				n, known := number[g]
				if !known {
					n = int32(len(c.groups))
					number[g] = n
					c.groups = append(c.groups, p.groups[g])
				}
				groups = append(groups, n)
			}
			m.takes = append(m.takes, groups)
		}
		c.members = append(c.members, m)
	}
	return c
}

// most returns an upper bound of how many members of a member group could find items.
func (c *contest) most(member int) int {
	items := 0
	for _, g := range c.members[member].takes[0] {
		items += int(c.groups[g].count)
	}
	return items
}

// holds returns true if there are items for all members. With anyOrder, all members must
// find items in every order in which they could take them; otherwise one division of the
// items is enough.
func (c *contest) holds(anyOrder bool) bool {
	return c.divides() && (!anyOrder || c.nested() || c.plenty() || !newAdversary(c).starves())
}

// divides returns true if the items can be divided among the members so that each has all
// it takes. It computes a flow from what members take to the item groups.
func (c *contest) divides() bool {
	f := flow{left: make([]int32, len(c.groups)), given: make([][]gift, len(c.groups))}
	for g := range c.groups {
		f.left[g] = c.groups[g].count
	}
	seen := make([]int32, len(c.groups))
	round := int32(0)
	for _, m := range c.members {
		for _, take := range m.takes {
			f.takes = append(f.takes, take)
			for wanted := m.count; wanted > 0; {
				round++
				n := f.give(int32(len(f.takes)-1), wanted, seen, round)
				if n == 0 {
					return false
				}
				wanted -= n
			}
		}
	}
	return true
}

// flow assigns items to takes. A take is the set of item groups of which each member of a
// member group needs one item.
type flow struct {
	takes [][]int32
	// left has the free items, and given the takes that have items, both by item group.
	left  []int32
	given [][]gift
}

// gift is a number of items of one item group, given to the take with this index in
// flow.takes.
type gift struct{ take, n int32 }

// give assigns up to wanted items to a take and returns the number. If the take's item
// groups have no free items, give moves another take, which has items of these groups, to
// items of other groups. seen marks the item groups that were tried in this round.
func (f *flow) give(take, wanted int32, seen []int32, round int32) int32 {
	for _, g := range f.takes[take] {
		if n := min(wanted, f.left[g]); n > 0 {
			f.left[g] -= n
			f.add(g, take, n)
			return n
		}
	}
	for _, g := range f.takes[take] {
		if seen[g] == round {
			continue
		}
		seen[g] = round
		for i := range f.given[g] {
			other := f.given[g][i]
			if other.n == 0 || other.take == take {
				continue
			}
			if n := f.give(other.take, min(wanted, other.n), seen, round); n > 0 {
				f.add(g, other.take, -n)
				f.add(g, take, n)
				return n
			}
		}
	}
	return 0
}

func (f *flow) add(group, take, n int32) {
	for i := range f.given[group] {
		if f.given[group][i].take == take {
			f.given[group][i].n += n
			return
		}
	}
	f.given[group] = append(f.given[group], gift{take, n})
}

// nested returns true if a member that has a choice of items always takes the item that
// is of least use to the other members. Then any order succeeds if the items can be
// divided: whenever a member takes an item that a division gives to another member, the
// two can exchange. This is so for volumes of single nodes that differ only in size.
func (c *contest) nested() bool {
	for i := range c.members {
		for _, take := range c.members[i].takes {
			for _, a := range take {
				for _, b := range take {
					if a != b && c.groups[a].size <= c.groups[b].size && !c.servesAll(a, b) {
						return false
					}
				}
			}
		}
	}
	return true
}

// servesAll returns true if item group b will do for every member for which group a will.
func (c *contest) servesAll(a, b int32) bool {
	for i := range c.members {
		for _, take := range c.members[i].takes {
			if slices.Contains(take, a) && !slices.Contains(take, b) {
				return false
			}
		}
	}
	return true
}

// plenty returns true if each member finds its items even when all members that may take
// items of the same groups have taken them before.
func (c *contest) plenty() bool {
	for i := range c.members {
		for _, take := range c.members[i].takes {
			items, rivals := int32(0), int32(0)
			for _, g := range take {
				items += c.groups[g].count
			}
			for k := range c.members {
				for _, other := range c.members[k].takes {
					if slices.ContainsFunc(other, func(g int32) bool { return slices.Contains(take, g) }) {
						rivals += c.members[k].count
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

// maxRivals is the maximum number of members for which an adversary tries the orders in
// which they may take items. maxStates is the maximum number of search states. Beyond these
// limits, the adversary assumes that some order leaves a member without an item.
const maxRivals, maxStates = 12, 1 << 12

// adversary searches for an order of members, and for choices between items of equal
// size, that leaves a member without an item. Members take the smallest item that will
// do.
type adversary struct {
	*contest
	// waiting counts, by member group, the members without items. left counts, by item
	// group, the free items.
	waiting, left []int32
	total         int32
	seen          map[string]bool
}

func newAdversary(c *contest) *adversary {
	a := &adversary{contest: c, seen: map[string]bool{}}
	for i := range c.members {
		a.waiting = append(a.waiting, c.members[i].count)
		a.total += c.members[i].count
	}
	for g := range c.groups {
		a.left = append(a.left, c.groups[g].count)
	}
	return a
}

// starves returns true if some order of the waiting members leaves one of them without an
// item, or if there are too many orders to try.
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
	if a.total > maxRivals || len(a.seen) == maxStates {
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

// takes gives one member an item for each entry of takes, then lets the other members
// follow. It returns true if this can leave a member without an item.
func (a *adversary) takes(takes [][]int32) bool {
	if len(takes) == 0 {
		return a.starves()
	}
	choices := a.smallest(takes[0])
	return len(choices) == 0 || slices.ContainsFunc(choices, func(g int32) bool {
		a.left[g]--
		failed := a.takes(takes[1:])
		a.left[g]++
		return failed
	})
}

// smallest returns the item groups of which a member may take its next item: among the
// groups that will do and have items left, those of the smallest size.
func (a *adversary) smallest(take []int32) []int32 {
	var choices []int32
	for _, g := range take {
		if a.left[g] == 0 {
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
