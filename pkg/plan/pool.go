// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"slices"
	"sort"
)

// poolRule is a Pool compiled for the search. Nodes where the same items can be used are
// a site: they differ for no member. Sites that items connect form a part.
type poolRule struct {
	name     string
	anyOrder bool
	// siteOf has the site of each position that an item names. The others are of site 0.
	siteOf map[int32]int32
	// at has the place of each site in parts.
	at []sitePlace
	// users are the roles that take items.
	users []int
	parts []poolPart
}

// sitePlace is the part of a site, and the site's index there.
type sitePlace struct{ part, site int32 }

// poolPart is a set of sites and their items. No item of it can be used elsewhere.
type poolPart struct {
	anyOrder bool
	sites    int32
	groups   []itemGroup
	// takes reports, by user and by item that a member takes, which groups will do.
	takes [][][]bool
	// rooms keeps the results of room, by the members at the sites.
	rooms map[string]int32
	key   []byte
	// lists has the results of takesAt.
	lists [][][]int32
}

// itemGroup is a number of items with the same size that the same takes accept at the same
// sites.
type itemGroup struct {
	count int32
	size  int64
	// at is by site of the part.
	at []bool
}

// userOf returns the index of a role in users, -1 for a role that takes nothing.
func (r *poolRule) userOf(role int) int {
	for u, user := range r.users {
		if user == role {
			return u
		}
	}
	return -1
}

// poolCounts counts the members of each pool's users, by pool and part, then by site and
// user.
type poolCounts struct {
	rules  []poolRule
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

// change adds n members of a role at a position.
func (c *poolCounts) change(role int, pos, n int32) {
	for i := range c.rules {
		r := &c.rules[i]
		if u := r.userOf(role); u >= 0 {
			at := r.at[r.siteOf[pos]]
			c.counts[i][at.part][int(at.site)*len(r.users)+u] += n
		}
	}
}

// room returns how many more members of a role find items at a position. cause is the
// index of the pool with the fewest.
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

// room returns how many more members of a user find items at a site. It looks at the
// members that compete with them for items, directly or through others.
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

// index returns the index of a user's members at a site in counts.
func (p *poolPart) index(user int, site int32) int32 { return site*int32(len(p.takes)) + int32(user) }

// rivals returns the indices of the members that compete for items with those of a user at
// a site, directly or through others, ascending.
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

// takesAt returns the groups that will do for each item that a member takes, by its index
// in counts.
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

// holdsWithin returns false if the items of these sites are too few for so many members of
// each role, wherever they are placed.
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

// addGroup adds a group of a part to a contest of all users.
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
