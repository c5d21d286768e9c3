// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
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

// room returns how many more members of a user find items at a site.
func (p *poolPart) room(user int, site int32, counts []int32) int32 {
	p.key = binary.AppendUvarint(p.key[:0], uint64(user))
	p.key = binary.AppendUvarint(p.key, uint64(site))
	for _, n := range counts {
		p.key = binary.AppendUvarint(p.key, uint64(n))
	}
	if room, known := p.rooms[string(p.key)]; known {
		return room
	}
	members := p.members(counts)
	more := memberGroup{takes: p.takesAt(user, site)}
	items := 0
	for i := range p.groups {
		items += int(p.groups[i].count)
	}
	room := int32(sort.Search(items+1, func(n int) bool {
		more.count = int32(n) + 1
		return !p.holds(append(members[:len(members):len(members)], more))
	}))
	if p.rooms == nil {
		p.rooms = map[string]int32{}
	}
	p.rooms[string(p.key)] = room
	return room
}

// memberGroup is a number of members of one user at one site.
type memberGroup struct {
	count int32
	// takes are the groups that will do, for each item that a member takes.
	takes [][]bool
}

// members returns the members of a part.
func (p *poolPart) members(counts []int32) []memberGroup {
	var members []memberGroup
	for i, n := range counts {
		if n > 0 {
			members = append(members, memberGroup{n, p.takesAt(i%len(p.takes), int32(i/len(p.takes)))})
		}
	}
	return members
}

// takesAt returns the groups that will do for each item that a member takes at a site.
func (p *poolPart) takesAt(user int, site int32) [][]bool {
	takes := make([][]bool, len(p.takes[user]))
	for t, accepted := range p.takes[user] {
		takes[t] = make([]bool, len(accepted))
		for g, will := range accepted {
			takes[t][g] = will && p.groups[g].at[site]
		}
	}
	return takes
}

// holds returns true if there are items for all these members.
func (p *poolPart) holds(members []memberGroup) bool {
	if !divide(p.groups, members) {
		return false
	}
	return !p.anyOrder || nested(p.groups, members) || plenty(p.groups, members) || !newAdversary(p.groups, members).starves()
}

// holdsWithin returns false if the items of these sites are too few for so many members of
// each role, wherever they are placed.
func (r *poolRule) holdsWithin(sites map[int32]bool, total []int64) bool {
	var groups []itemGroup
	members := make([]memberGroup, len(r.users))
	for u, role := range r.users {
		members[u] = memberGroup{count: int32(min(total[role], maxSlots)), takes: make([][]bool, len(r.parts[0].takes[u]))}
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
			if !overlap(part.groups[g].at, here[k]) {
				continue
			}
			groups = append(groups, part.groups[g])
			for u := range members {
				for t := range members[u].takes {
					members[u].takes[t] = append(members[u].takes[t], part.takes[u][t][g])
				}
			}
		}
	}
	return divide(groups, members)
}

func overlap(a, b []bool) bool {
	for i := range a {
		if a[i] && b[i] {
			return true
		}
	}
	return false
}
