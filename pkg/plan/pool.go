// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"sort"
)

// poolRule is a Pool compiled for the search. Nodes where the same items can be used are
// a site: they differ for no member.
type poolRule struct {
	name     string
	anyOrder bool
	groups   []itemGroup
	// siteOf has the site of each position that an item names. The others are of site 0.
	siteOf map[int32]int32
	sites  int32
	// linked has, by site, the sites that items connect with it, itself included.
	linked [][]int32
	users  []poolUser
	// rooms keeps the results of room, by the members at the linked sites.
	rooms map[string]int32
	key   []byte
}

// itemGroup is a number of items with the same size that the same takes accept at the same
// sites.
type itemGroup struct {
	count int32
	size  int64
	// at is by site.
	at []bool
}

// poolUser has, for each item that a member of a role takes, the groups that will do.
type poolUser struct {
	role  int
	takes [][]bool
}

// userOf returns the index of a role in users, -1 for a role that takes nothing.
func (r *poolRule) userOf(role int) int {
	for u := range r.users {
		if r.users[u].role == role {
			return u
		}
	}
	return -1
}

// poolCounts counts the members of each pool's users at each site, by site and user.
type poolCounts struct {
	rules  []poolRule
	counts [][]int32
}

func newPoolCounts(rules []poolRule) poolCounts {
	c := poolCounts{rules: rules}
	for i := range rules {
		c.counts = append(c.counts, make([]int32, int(rules[i].sites)*len(rules[i].users)))
	}
	return c
}

// change adds n members of a role at a position.
func (c *poolCounts) change(role int, pos, n int32) {
	for i := range c.rules {
		r := &c.rules[i]
		if u := r.userOf(role); u >= 0 {
			c.counts[i][int(r.siteOf[pos])*len(r.users)+u] += n
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
		if n := r.room(u, r.siteOf[pos], c.counts[i]); n < room {
			room, cause = n, i
		}
	}
	return room, cause
}

// room returns how many more members of a user find items at a site.
func (r *poolRule) room(user int, site int32, counts []int32) int32 {
	r.key = binary.AppendUvarint(r.key[:0], uint64(user))
	r.key = binary.AppendUvarint(r.key, uint64(site))
	for _, s := range r.linked[site] {
		for u := range r.users {
			r.key = binary.AppendUvarint(r.key, uint64(counts[int(s)*len(r.users)+u]))
		}
	}
	if room, known := r.rooms[string(r.key)]; known {
		return room
	}
	key := string(r.key)
	members := r.membersAt(site, counts)
	more := memberGroup{takes: r.takesAt(user, site)}
	items := int32(0)
	for i := range r.groups {
		items += r.groups[i].count
	}
	room := int32(sort.Search(int(items)+1, func(n int) bool {
		more.count = int32(n) + 1
		return !r.holds(append(members[:len(members):len(members)], more))
	}))
	r.rooms[key] = room
	return room
}

// memberGroup is a number of members of one user at one site.
type memberGroup struct {
	count int32
	// takes are the groups that will do, for each item that a member takes.
	takes [][]bool
}

// membersAt returns the members at the sites that items connect with a site.
func (r *poolRule) membersAt(site int32, counts []int32) []memberGroup {
	var members []memberGroup
	for _, s := range r.linked[site] {
		for u := range r.users {
			if n := counts[int(s)*len(r.users)+u]; n > 0 {
				members = append(members, memberGroup{n, r.takesAt(u, s)})
			}
		}
	}
	return members
}

// takesAt returns the groups that will do for each item that a member takes at a site.
func (r *poolRule) takesAt(user int, site int32) [][]bool {
	takes := make([][]bool, len(r.users[user].takes))
	for t, accepted := range r.users[user].takes {
		takes[t] = make([]bool, len(accepted))
		for g, will := range accepted {
			takes[t][g] = will && r.groups[g].at[site]
		}
	}
	return takes
}

// holds returns true if there are items for all these members.
func (r *poolRule) holds(members []memberGroup) bool {
	if !divide(r.groups, members) {
		return false
	}
	return !r.anyOrder || nested(r.groups, members) || plenty(r.groups, members) || !newAdversary(r.groups, members).starves()
}

// holdsWithin returns false if the items of these sites are too few for so many members of
// each user, wherever they are placed.
func (r *poolRule) holdsWithin(sites []bool, total []int64) bool {
	var members []memberGroup
	for u := range r.users {
		n := total[r.users[u].role]
		if n == 0 {
			continue
		}
		takes := make([][]bool, len(r.users[u].takes))
		for t, accepted := range r.users[u].takes {
			takes[t] = make([]bool, len(accepted))
			for g, will := range accepted {
				takes[t][g] = will && overlap(r.groups[g].at, sites)
			}
		}
		members = append(members, memberGroup{int32(min(n, maxSlots)), takes})
	}
	return divide(r.groups, members)
}

func overlap(a, b []bool) bool {
	for i := range a {
		if a[i] && b[i] {
			return true
		}
	}
	return false
}
