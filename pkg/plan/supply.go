// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// Pool is a set of items that exist once, for example PersistentVolumes without a claim.
// Each member (pod) of the roles in Users takes items of its own, even if it is on a node
// already.
type Pool struct {
	// Name says what the items are, in the plural. The Decision gives it as the cause why
	// nodes without enough items were excluded.
	Name  string
	Items []Item
	Users []PoolUser
	// AnyOrder requires enough items for each member in whatever order members take them.
	// The planner does not decide which items a member takes: a member takes the smallest
	// item that will do, and if this can be used on several nodes, a member on another of
	// them may then lack it. Without AnyOrder it is enough that the items can be divided
	// among the members.
	AnyOrder bool
}

// Item is a thing that one member can take.
type Item struct {
	// Nodes names the nodes where the item can be used, nil for all nodes.
	Nodes []string
	// Size orders the items. Of the items that will do, a member takes the smallest. If
	// several are the smallest, it may take any of them.
	Size int64
}

// PoolUser is a role (a set of equal members) whose members take items.
type PoolUser struct {
	Role string
	// Takes has an entry for each item that a member takes, in the order of taking: the
	// indices, in Pool.Items, of the items that will do.
	Takes [][]int
}

// NodeLimit limits what the members on one node take together, as the attach limit of a
// storage driver does.
type NodeLimit struct {
	// Name says what is limited, in the plural. The Decision gives it as the cause why nodes
	// at their limit were excluded.
	Name string
	// Free has, by node name, the amount that members which are not on a node yet may take
	// there together. Other nodes have no limit.
	Free  map[string]int
	Users []LimitUser
	// Present has, by node name, the shared things that are on the node already. Members
	// take nothing for them.
	Present map[string][]string
}

// LimitUser is what each member of a role takes of its node.
type LimitUser struct {
	Role string
	// Own is the amount that each member takes for itself.
	Own int
	// Shared names things, such as volumes, that members use together. Each takes an amount
	// of one on a node, however many members there use it.
	Shared []string
}

func (g *Gang) checkPools() *fault {
	for i := range g.Pools {
		pool := &g.Pools[i]
		at := "pool " + pool.Name
		for u := range pool.Users {
			user := &pool.Users[u]
			if !g.hasRole(user.Role) || slices.ContainsFunc(pool.Users[:u], func(o PoolUser) bool { return o.Role == user.Role }) {
				return faultf(at, "role %q does not exist or is named twice", user.Role)
			}
			for _, n := range slices.Concat(user.Takes...) {
				if n < 0 || n >= len(pool.Items) {
					return faultf(at, "item %d of %d", n, len(pool.Items))
				}
			}
		}
	}
	return nil
}

func (g *Gang) checkNodeLimits() *fault {
	for i := range g.NodeLimits {
		l := &g.NodeLimits[i]
		for u := range l.Users {
			user := &l.Users[u]
			if !g.hasRole(user.Role) || slices.ContainsFunc(l.Users[:u], func(o LimitUser) bool { return o.Role == user.Role }) {
				return faultf("node limit "+l.Name, "role %q does not exist or is named twice", user.Role)
			}
			if user.Own < 0 {
				return faultf("node limit "+l.Name, "%d of role %s", user.Own, user.Role)
			}
		}
	}
	return nil
}

func (g *Gang) hasRole(name string) bool {
	return slices.ContainsFunc(g.Roles, func(r Role) bool { return r.Name == name })
}
