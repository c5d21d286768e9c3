// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// renameRoles replaces the names of roles (sets of equal members) in the rules between
// members, the pools (items of which members take some) and the node limits (what the
// members on one node may take) of a gang: names returns the roles that replace a role. It
// changes copies of these lists, so that other gangs which share the lists do not change.
func (g *Gang) renameRoles(names func(role string) []string) {
	all := func(roles []string) []string {
		var out []string
		for _, role := range roles {
			out = append(out, names(role)...)
		}
		return out
	}
	g.AntiAffinity = slices.Clone(g.AntiAffinity)
	for i := range g.AntiAffinity {
		rule := &g.AntiAffinity[i]
		rule.Roles, rule.Others = all(rule.Roles), all(rule.Others)
	}
	g.Spread = slices.Clone(g.Spread)
	for i := range g.Spread {
		rule := &g.Spread[i]
		rule.Roles, rule.Counted = all(rule.Roles), all(rule.Counted)
	}
	g.Affinity = slices.Clone(g.Affinity)
	for i := range g.Affinity {
		rule := &g.Affinity[i]
		rule.Roles, rule.Matching = all(rule.Roles), all(rule.Matching)
	}
	g.Pools = slices.Clone(g.Pools)
	for i := range g.Pools {
		var users []PoolUser
		for _, user := range g.Pools[i].Users {
			for _, role := range names(user.Role) {
				users = append(users, PoolUser{Role: role, Takes: user.Takes})
			}
		}
		g.Pools[i].Users = users
	}
	g.NodeLimits = slices.Clone(g.NodeLimits)
	for i := range g.NodeLimits {
		var users []LimitUser
		for _, user := range g.NodeLimits[i].Users {
			for _, role := range names(user.Role) {
				users = append(users, LimitUser{Role: role, Own: user.Own, Shared: user.Shared})
			}
		}
		g.NodeLimits[i].Users = users
	}
}

// ruled reports whether a rule between members, a pool or a node limit names a role.
func (g *Gang) ruled(role string) bool {
	found := false
	with := *g
	with.renameRoles(func(name string) []string {
		found = found || name == role
		return nil
	})
	return found
}
