// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"slices"
)

// addPools compiles Gang.Pools, the sets of items that exist once (such as unclaimed
// PersistentVolumes), to rules for the search.
func (p *problem) addPools() {
	for i := range p.gang.Pools {
		c := poolCompiler{p: p, spec: &p.gang.Pools[i], itemsOf: map[int32][]int{}}
		c.rule = poolRule{name: c.spec.Name, anyOrder: c.spec.AnyOrder, siteOf: map[int32]int32{}}
		c.addUsers()
		if len(c.rule.users) > 0 {
			c.addSites(i)
			c.addParts()
			c.addItems()
		}
		p.pools = append(p.pools, c.rule)
	}
}

// poolCompiler compiles one Pool (items that exist once) to a poolRule.
type poolCompiler struct {
	p    *problem
	spec *Pool
	rule poolRule
	// takes has, by user (a role, that is a set of equal members, whose members take items)
	// and by item that each member takes, the indices of the items that will do.
	takes [][][]int
	// itemsOf has, by node position (the index of a node), the indices of the items that
	// name the node.
	itemsOf map[int32][]int
	// sitesOf has, by item, the sites (sets of nodes with the same items) where the item
	// can be used.
	sitesOf [][]int32
}

func (c *poolCompiler) addUsers() {
	for r := range c.p.roles {
		role := &c.p.roles[r]
		u := slices.IndexFunc(c.spec.Users, func(user PoolUser) bool { return user.Role == role.spec.Name })
		if u < 0 || len(c.spec.Users[u].Takes) == 0 {
			continue
		}
		role.pooled = true
		c.rule.users, c.takes = append(c.rule.users, r), append(c.takes, c.spec.Users[u].Takes)
	}
}

// addSites divides the nodes into sites: sets of nodes with the same items. The search
// treats nodes of different sites as different.
func (c *poolCompiler) addSites(pool int) {
	for i := range c.spec.Items {
		for _, name := range c.spec.Items[i].Nodes {
			if pos, ok := c.p.snap.fabric.pos(name); ok {
				c.itemsOf[pos] = append(c.itemsOf[pos], i)
			}
		}
	}
	sites, known := int32(1), map[string]int32{}
	c.sitesOf = make([][]int32, len(c.spec.Items))
	for _, pos := range sortedKeys(c.itemsOf) {
		items := slices.Compact(c.itemsOf[pos])
		var key []byte
		for _, i := range items {
			key = binary.AppendUvarint(key, uint64(i))
		}
		site, ok := known[string(key)]
		if !ok {
			site = sites
			known[string(key)] = site
			sites++
			for _, i := range items {
				c.sitesOf[i] = append(c.sitesOf[i], site)
			}
		}
		c.rule.siteOf[pos] = site
		c.p.mark(pos, poolMark, int64(pool), int64(site))
	}
	c.rule.at = make([]sitePlace, sites)
	for i := range c.spec.Items {
		for s := int32(0); c.spec.Items[i].Nodes == nil && s < sites; s++ {
			c.sitesOf[i] = append(c.sitesOf[i], s)
		}
	}
}

// addParts divides the sites into parts: sites that share an item are in the same part.
func (c *poolCompiler) addParts() {
	root := make([]int32, len(c.rule.at))
	for s := range root {
		root[s] = int32(s)
	}
	find := func(s int32) int32 {
		for root[s] != s {
			root[s] = root[root[s]]
			s = root[s]
		}
		return s
	}
	for _, sites := range c.sitesOf {
		for _, s := range sites {
			root[find(s)] = find(sites[0])
		}
	}
	parts := map[int32]int32{}
	for s := range c.rule.at {
		k, known := parts[find(int32(s))]
		if !known {
			k = int32(len(c.rule.parts))
			parts[find(int32(s))] = k
			c.rule.parts = append(c.rule.parts, poolPart{anyOrder: c.spec.AnyOrder, takes: c.noTakes()})
		}
		c.rule.at[s] = sitePlace{k, c.rule.parts[k].sites}
		c.rule.parts[k].sites++
	}
}

// noTakes returns poolPart.takes for a part without item groups: by user and by item that
// each member takes, an empty list.
func (c *poolCompiler) noTakes() [][][]bool {
	takes := make([][][]bool, len(c.takes))
	for u := range takes {
		takes[u] = make([][]bool, len(c.takes[u]))
	}
	return takes
}

// addItems divides the items of each part of the pool into groups of interchangeable
// items.
func (c *poolCompiler) addItems() {
	accepts := c.accepted()
	known := map[string]int{}
	for i, sites := range c.sitesOf {
		if len(sites) == 0 {
			continue
		}
		k := c.rule.at[sites[0]].part
		part := &c.rule.parts[k]
		at := make([]bool, part.sites)
		for _, s := range sites {
			at[c.rule.at[s].site] = true
		}
		key := binary.AppendVarint(binary.AppendUvarint(nil, uint64(k)), c.spec.Items[i].Size)
		key = appendFlags(appendFlags(key, at), accepts[i])
		if g, ok := known[string(key)]; ok {
			part.groups[g].count++
			continue
		}
		known[string(key)] = len(part.groups)
		part.groups = append(part.groups, itemGroup{count: 1, size: c.spec.Items[i].Size, at: at})
		n := 0
		for u := range part.takes {
			for t := range part.takes[u] {
				part.takes[u][t] = append(part.takes[u][t], accepts[i][n])
				n++
			}
		}
	}
}

// accepted reports, by item of the pool and by take, whether the item will do for the take.
// A take is one of the items that each member of a user needs. The takes of all users are
// in one list.
func (c *poolCompiler) accepted() [][]bool {
	var all [][]int
	for u := range c.takes {
		all = append(all, c.takes[u]...)
	}
	accepts := make([][]bool, len(c.spec.Items))
	for i := range accepts {
		accepts[i] = make([]bool, len(all))
	}
	for t, items := range all {
		for _, i := range items {
			accepts[i][t] = true
		}
	}
	return accepts
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

// poolsHold returns false if the items that can be used in domain v (such as a rack; depth
// is its level of the network) are too few for total[role] members of each role.
func (p *problem) poolsHold(depth int, v int32, total []int64) bool {
	lo, hi := p.snap.fabric.span(depth, v)
	for i := range p.pools {
		r := &p.pools[i]
		if len(r.users) == 0 {
			continue
		}
		sites := map[int32]bool{}
		for pos := lo; pos < hi; pos++ {
			sites[r.siteOf[pos]] = true
		}
		if !r.holdsWithin(sites, total) {
			return false
		}
	}
	return true
}
