// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"slices"
	"sort"
)

// poolRule is a Pool (items that exist once, such as unclaimed PersistentVolumes) compiled
// for the search. A site is a set of nodes where the same items can be used, so that a
// member (a pod of the gang) finds the same items on each of these nodes. A part is a set
// of sites that share items.
type poolRule struct {
	name     string
	anyOrder bool
	// siteOf has, by node position (the index of a node), the site (nodes with the same
	// items) of each node that an item names. All other nodes are of site 0.
	siteOf map[int32]int32
	// at has, by site, the part of the pool that the site belongs to.
	at []sitePlace
	// users has the indices of the roles (sets of equal members) whose members take items.
	users []int
	parts []poolPart
}

// sitePlace is the part (sites that share items) of a site (nodes with the same items),
// and the site's index in the part.
type sitePlace struct{ part, site int32 }

// poolPart is a set of sites (nodes with the same items) and their items. No item of a
// part can be used outside it.
type poolPart struct {
	anyOrder bool
	sites    int32
	groups   []itemGroup
	// takes reports, by user (role), by item that each member takes, and by group,
	// whether items of the group will do.
	takes [][][]bool
	// rooms caches the results of the method room. Its keys encode the members that compete
	// for items. key is the buffer for these keys.
	rooms map[string]int32
	key   []byte
	// lists caches the results of the method takesAt by its argument.
	lists [][][]int32
}

// itemGroup is a number of interchangeable items: they have the same size, can be used at
// the same sites, and will do for the same members.
type itemGroup struct {
	count int32
	size  int64
	// at reports, by site of the part, whether the items can be used there.
	at []bool
}

// userOf returns the index, in users, of the role with this index among all roles of the
// gang, or -1 for a role that takes no items.
func (r *poolRule) userOf(role int) int {
	for u, user := range r.users {
		if user == role {
			return u
		}
	}
	return -1
}

// poolCounts counts the members that take items of pools.
type poolCounts struct {
	rules []poolRule
	// counts has, by pool and part, a list with the number of members by site and user
	// (role): the entry for a user at a site has the index that poolPart.index returns.
	counts [][][]int32
}

func newPoolCounts(rules []poolRule) poolCounts {
	c := poolCounts{rules: rules}
	for i := range rules {
		parts := make([][]int32, len(rules[i].parts))
		for k := range parts {
			parts[k] = make([]int32, int(rules[i].parts[k].sites)*len(rules[i].users))
		}
		c.counts = append(c.counts, parts)
	}
	return c
}

// change adds n members of a role on the node at pos to the counts of its pools. A
// negative n removes members.
func (c *poolCounts) change(role int, pos, n int32) {
	for i := range c.rules {
		r := &c.rules[i]
		if u := r.userOf(role); u >= 0 {
			at := r.at[r.siteOf[pos]]
			c.counts[i][at.part][int(at.site)*len(r.users)+u] += n
		}
	}
}

// room returns how many more members of a role find items at the node at pos. cause is
// the index of the pool that has items for the fewest of these members.
func (c *poolCounts) room(role int, pos int32) (room int32, cause int) {
	room = maxSlots
	for i := range c.rules {
		r := &c.rules[i]
		u := r.userOf(role)
		if u < 0 {
			continue
		}
		at := r.at[r.siteOf[pos]]
		if n := r.parts[at.part].room(u, at.site, c.counts[i][at.part]); n < room {
			room, cause = n, i
		}
	}
	return room, cause
}

// room returns how many more members of a user (role) find items at a site (nodes with
// the same items). counts has the members that take items already. Of these, room looks at
// those that compete with the further members for items, directly or through others.
func (p *poolPart) room(user int, site int32, counts []int32) int32 {
	rivals := p.rivals(user, site, counts)
	p.key = binary.AppendUvarint(p.key[:0], uint64(p.index(user, site)))
	for _, at := range rivals {
		p.key = binary.AppendUvarint(binary.AppendUvarint(p.key, uint64(at)), uint64(counts[at]))
	}
	if room, known := p.rooms[string(p.key)]; known {
		return room
	}
	c := newContest(p, p.index(user, site), rivals, counts)
	more := len(c.members) - 1
	room := int32(sort.Search(c.most(more), func(n int) bool {
		c.members[more].count = int32(n) + 1
		return !c.holds(p.anyOrder)
	}))
	if p.rooms == nil {
		p.rooms = map[string]int32{}
	}
	p.rooms[string(p.key)] = room
	return room
}

// index returns the index, in the counts of a part, of the members of a user (role) at a
// site.
func (p *poolPart) index(user int, site int32) int32 { return site*int32(len(p.takes)) + int32(user) }

// rivals returns the indices, in counts, of the members that compete for items with the
// members of a user (role) at a site, directly or through others, ascending.
func (p *poolPart) rivals(user int, site int32, counts []int32) []int32 {
	var waiting, rivals []int32
	for at, n := range counts {
		if n > 0 {
			waiting = append(waiting, int32(at))
		}
	}
	wanted := make([]bool, len(p.groups))
	want := func(at int32) {
		for _, take := range p.takesAt(at) {
			for _, g := range take {
				wanted[g] = true
			}
		}
	}
	want(p.index(user, site))
	for found := true; found; {
		found = false
		waiting = slices.DeleteFunc(waiting, func(at int32) bool {
			rival := slices.ContainsFunc(p.takesAt(at), func(take []int32) bool {
				return slices.ContainsFunc(take, func(g int32) bool { return wanted[g] })
			})
			if rival {
				found = true
				want(at)
				rivals = append(rivals, at)
			}
			return rival
		})
	}
	slices.Sort(rivals)
	return rivals
}

// takesAt returns, for each item that a member takes, the item groups that will do. at is
// the index of the member's user and site in the counts of the part.
func (p *poolPart) takesAt(at int32) [][]int32 {
	if p.lists == nil {
		p.lists = make([][][]int32, int(p.sites)*len(p.takes))
	}
	if p.lists[at] == nil {
		user, site := int(at)%len(p.takes), int(at)/len(p.takes)
		p.lists[at] = make([][]int32, len(p.takes[user]))
		for t, accepted := range p.takes[user] {
			for g, will := range accepted {
				if will && p.groups[g].at[site] {
					p.lists[at][t] = append(p.lists[at][t], int32(g))
				}
			}
		}
	}
	return p.lists[at]
}

// holdsWithin returns false if the items of these sites (sets of nodes with the same
// items) are too few for total[role] members of each role, even if every member could use
// the items of all these sites.
func (r *poolRule) holdsWithin(sites map[int32]bool, total []int64) bool {
	c := contest{members: make([]memberGroup, len(r.users))}
	for u, role := range r.users {
		c.members[u] = memberGroup{count: int32(min(total[role], maxSlots)), takes: make([][]int32, len(r.parts[0].takes[u]))}
	}
	here := map[int32][]bool{}
	for site := range sites {
		at := r.at[site]
		if here[at.part] == nil {
			here[at.part] = make([]bool, r.parts[at.part].sites)
		}
		here[at.part][at.site] = true
	}
	for _, k := range sortedKeys(here) {
		part := &r.parts[k]
		for g := range part.groups {
			if overlap(part.groups[g].at, here[k]) {
				c.addGroup(part, g)
			}
		}
	}
	return c.divides()
}

// addGroup adds a group of interchangeable items to a contest (members, and the items that
// they compete for) that has one member group for each user (role) of the pool. The item
// group is listed for each item that a user's members take and for which it will do.
func (c *contest) addGroup(part *poolPart, group int) {
	for u := range c.members {
		for t := range c.members[u].takes {
			if part.takes[u][t][group] {
				c.members[u].takes[t] = append(c.members[u].takes[t], int32(len(c.groups)))
			}
		}
	}
	c.groups = append(c.groups, part.groups[group])
}

func overlap(a, b []bool) bool {
	for i := range a {
		if a[i] && b[i] {
			return true
		}
	}
	return false
}
