// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"slices"
)

// addPools compiles the pools of items that exist once.
func (p *problem) addPools() {
	for i := range p.gang.Pools {
		spec := &p.gang.Pools[i]
		rule := poolRule{name: spec.Name, anyOrder: spec.AnyOrder, siteOf: map[int32]int32{}, rooms: map[string]int32{}}
		p.addSites(&rule, spec, i)
		p.addItems(&rule, spec)
		rule.link()
		for _, user := range rule.users {
			p.roles[user.role].pooled = true
		}
		p.pools = append(p.pools, rule)
	}
}

// addSites finds the nodes that have the same items. Nodes of different sites are not
// alike.
func (p *problem) addSites(rule *poolRule, spec *Pool, pool int) {
	items := map[int32][]byte{}
	for i := range spec.Items {
		for _, name := range spec.Items[i].Nodes {
			if pos, ok := p.snap.fabric.pos(name); ok {
				items[pos] = binary.AppendUvarint(items[pos], uint64(i))
			}
		}
	}
	rule.sites = 1
	known := map[string]int32{}
	for _, pos := range sortedKeys(items) {
		site, ok := known[string(items[pos])]
		if !ok {
			site = rule.sites
			known[string(items[pos])] = site
			rule.sites++
		}
		rule.siteOf[pos] = site
		p.mark(pos, poolMark, int64(pool), int64(site))
	}
}

// The kinds of marks.
const (
	poolMark int64 = iota + 1
	limitMark
)

// mark makes a position differ from those without the same mark.
func (p *problem) mark(pos int32, words ...int64) {
	print := hasher(14695981039346656037)
	for _, word := range words {
		print.add(word)
	}
	if p.allowed == nil {
		p.allowed = map[int32]uint64{}
	}
	p.allowed[pos] ^= uint64(print)
}

// addItems groups the items and writes what the users accept in terms of the groups.
func (p *problem) addItems(rule *poolRule, spec *Pool) {
	for r := range p.roles {
		for u := range spec.Users {
			if user := &spec.Users[u]; user.Role == p.roles[r].spec.Name && len(user.Takes) > 0 {
				rule.users = append(rule.users, poolUser{role: r, takes: make([][]bool, len(user.Takes))})
			}
		}
	}
	known := map[string]int{}
	for i := range spec.Items {
		at := p.sitesOf(rule, &spec.Items[i])
		accepted := p.acceptedBy(rule, spec, i)
		key := string(appendFlags(appendFlags(binary.AppendVarint(nil, spec.Items[i].Size), at), accepted))
		if g, ok := known[key]; ok {
			rule.groups[g].count++
			continue
		}
		known[key] = len(rule.groups)
		rule.groups = append(rule.groups, itemGroup{count: 1, size: spec.Items[i].Size, at: at})
		n := 0
		for u := range rule.users {
			for t := range rule.users[u].takes {
				rule.users[u].takes[t] = append(rule.users[u].takes[t], accepted[n])
				n++
			}
		}
	}
}

// sitesOf returns the sites where an item can be used.
func (p *problem) sitesOf(rule *poolRule, item *Item) []bool {
	at := make([]bool, rule.sites)
	for s := range at {
		at[s] = item.Nodes == nil
	}
	for _, name := range item.Nodes {
		if pos, ok := p.snap.fabric.pos(name); ok {
			at[rule.siteOf[pos]] = true
		}
	}
	return at
}

// acceptedBy reports, for each take of each user, whether an item will do.
func (p *problem) acceptedBy(rule *poolRule, spec *Pool, item int) []bool {
	var accepted []bool
	for u := range rule.users {
		name := p.roles[rule.users[u].role].spec.Name
		at := slices.IndexFunc(spec.Users, func(user PoolUser) bool { return user.Role == name })
		for _, items := range spec.Users[at].Takes {
			accepted = append(accepted, slices.Contains(items, item))
		}
	}
	return accepted
}

func appendFlags(key []byte, flags []bool) []byte {
	for _, set := range flags {
		if set {
			key = append(key, 1)
		} else {
			key = append(key, 0)
		}
	}
	return key
}

// link finds the sites that items connect, directly or through other sites.
func (r *poolRule) link() {
	root := make([]int32, r.sites)
	for s := range root {
		root[s] = int32(s)
	}
	for g := range r.groups {
		first := int32(-1)
		for s, is := range r.groups[g].at {
			switch {
			case !is:
			case first < 0:
				first = root[s]
			default:
				old := root[s]
				for k := range root {
					if root[k] == old {
						root[k] = first
					}
				}
			}
		}
	}
	r.linked = make([][]int32, r.sites)
	for s := range root {
		for k := range root {
			if root[s] == root[k] {
				r.linked[s] = append(r.linked[s], int32(k))
			}
		}
	}
}

// poolsHold returns false if the items in a domain are too few for so many members of
// each role.
func (p *problem) poolsHold(depth int, v int32, total []int64) bool {
	lo, hi := p.snap.fabric.span(depth, v)
	for i := range p.pools {
		r := &p.pools[i]
		within := make([]bool, r.sites)
		for pos := lo; pos < hi; pos++ {
			within[r.siteOf[pos]] = true
		}
		if !r.holdsWithin(within, total) {
			return false
		}
	}
	return true
}
