// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// The reference for pools moves single items between single members. It knows no sites,
// groups or flows.

// taker is a member that takes items of a pool at a node.
type taker struct {
	index      int
	role, node string
	takes      [][]int
}

// supplied returns true if the members of a role at a node leave every pool and node limit
// that names the role intact.
func (r *reference) supplied(role, node int) bool {
	name := r.sim.gang.Roles[role].Name
	for i := range r.sim.gang.Pools {
		pool := &r.sim.gang.Pools[i]
		if slices.ContainsFunc(pool.Users, func(u plan.PoolUser) bool { return u.Role == name && len(u.Takes) > 0 }) && !r.enough(pool, name, r.sim.nodes[node].Name) {
			return false
		}
	}
	for i := range r.sim.gang.NodeLimits {
		if !r.within(&r.sim.gang.NodeLimits[i], role, node) {
			return false
		}
	}
	return true
}

// enough judges the members that compete for items with those of a role on a node, directly
// or through others.
func (r *reference) enough(pool *plan.Pool, role, node string) bool {
	all := r.takers(pool)
	rivals := slices.DeleteFunc(slices.Clone(all), func(t taker) bool { return t.role != role || t.node != node })
	for i := 0; i < len(rivals); i++ {
		for _, t := range all {
			if !slices.ContainsFunc(rivals, func(o taker) bool { return o.index == t.index }) && compete(pool, rivals[i], t) {
				rivals = append(rivals, t)
			}
		}
	}
	left := make([]bool, len(pool.Items))
	for i := range left {
		left[i] = true
	}
	if pool.AnyOrder {
		return alwaysEnough(pool, rivals, left)
	}
	return divisible(pool, rivals, nil, left)
}

// compete returns true if some item will do for both members.
func compete(pool *plan.Pool, a, b taker) bool {
	for i := range pool.Items {
		will := func(t taker) bool {
			return slices.ContainsFunc(t.takes, func(take []int) bool { return usable(pool, i, take, t.node) })
		}
		if will(a) && will(b) {
			return true
		}
	}
	return false
}

// takers lists all members that take items, bound members included.
func (r *reference) takers(pool *plan.Pool) []taker {
	var out []taker
	for _, user := range pool.Users {
		for i := range r.sim.gang.Roles {
			if r.sim.gang.Roles[i].Name != user.Role {
				continue
			}
			for n, members := range r.put[i] {
				for range members {
					out = append(out, taker{len(out), user.Role, r.sim.nodes[n].Name, user.Takes})
				}
			}
			for _, m := range r.sim.gang.Roles[i].Members {
				if _, ok := r.nodes[m.Node]; ok && m.Node != "" {
					out = append(out, taker{len(out), user.Role, m.Node, user.Takes})
				}
			}
		}
	}
	return out
}

func usable(pool *plan.Pool, item int, take []int, node string) bool {
	nodes := pool.Items[item].Nodes
	return slices.Contains(take, item) && (nodes == nil || slices.Contains(nodes, node))
}

// divisible tries every division of the items.
func divisible(pool *plan.Pool, takers []taker, takes [][]int, left []bool) bool {
	node := ""
	if len(takes) == 0 {
		if len(takers) == 0 {
			return true
		}
		if takes = takers[0].takes; len(takes) == 0 {
			return divisible(pool, takers[1:], nil, left)
		}
	}
	node = takers[0].node
	rest := takers
	if len(takes) == 1 {
		rest = takers[1:]
	}
	for i := range pool.Items {
		if !left[i] || !usable(pool, i, takes[0], node) {
			continue
		}
		left[i] = false
		found := divisible(pool, rest, takes[1:], left)
		left[i] = true
		if found {
			return true
		}
	}
	return false
}

// alwaysEnough tries every order of the members, and every choice between smallest items.
func alwaysEnough(pool *plan.Pool, takers []taker, left []bool) bool {
	for i := range takers {
		rest := slices.Delete(slices.Clone(takers), i, i+1)
		if !alwaysFinds(pool, takers[i], takers[i].takes, left, rest) {
			return false
		}
	}
	return true
}

func alwaysFinds(pool *plan.Pool, t taker, takes [][]int, left []bool, rest []taker) bool {
	if len(takes) == 0 {
		return alwaysEnough(pool, rest, left)
	}
	smallest := int64(-1)
	for i, item := range pool.Items {
		if left[i] && usable(pool, i, takes[0], t.node) && (smallest < 0 || item.Size < smallest) {
			smallest = item.Size
		}
	}
	if smallest < 0 {
		return false
	}
	for i, item := range pool.Items {
		if !left[i] || item.Size != smallest || !usable(pool, i, takes[0], t.node) {
			continue
		}
		left[i] = false
		finds := alwaysFinds(pool, t, takes[1:], left, rest)
		left[i] = true
		if !finds {
			return false
		}
	}
	return true
}

// within returns true if a node limit allows the last placed member of a role on a node: it
// takes nothing, or all members there take no more than is free.
func (r *reference) within(l *plan.NodeLimit, role, node int) bool {
	free, limited := l.Free[r.sim.nodes[node].Name]
	if !limited {
		return true
	}
	all := r.taken(l, node)
	r.put[role][node]--
	before := r.taken(l, node)
	r.put[role][node]++
	return all == before || all <= free
}

// taken returns what the placed members on a node take.
func (r *reference) taken(l *plan.NodeLimit, node int) int {
	sum := 0
	var there []string
	for _, user := range l.Users {
		for i := range r.sim.gang.Roles {
			if n := r.put[i][node]; n > 0 && r.sim.gang.Roles[i].Name == user.Role {
				sum += n * user.Own
				there = append(there, user.Shared...)
			}
		}
	}
	slices.Sort(there)
	for _, thing := range slices.Compact(there) {
		if !slices.Contains(l.Present[r.sim.nodes[node].Name], thing) {
			sum++
		}
	}
	return sum
}

// drawSupply sometimes adds pools and node limits.
func drawSupply(d dice, sim *simulation) {
	g := &sim.gang
	if often(d, 4) {
		for i := range 1 + d.roll(2) {
			g.Pools = append(g.Pools, drawPool(d, sim, i))
		}
	}
	if often(d, 3) {
		for i := range 1 + d.roll(2) {
			g.NodeLimits = append(g.NodeLimits, drawNodeLimit(d, sim, i))
		}
	}
}

func drawPool(d dice, sim *simulation, i int) plan.Pool {
	pool := plan.Pool{Name: "items " + string(rune('a'+i)), AnyOrder: often(d, 5)}
	local := often(d, 4)
	for range 1 + d.roll(6) {
		item := plan.Item{Size: int64(1 + d.roll(3))}
		switch {
		case local:
			item.Nodes = []string{sim.nodes[d.roll(len(sim.nodes))].Name}
		case often(d, 7):
			item.Nodes = []string{"elsewhere"}
			for _, n := range sim.nodes {
				if often(d, 4) {
					item.Nodes = append(item.Nodes, n.Name)
				}
			}
		}
		pool.Items = append(pool.Items, item)
	}
	for r := range sim.gang.Roles {
		if !often(d, 7) {
			continue
		}
		user := plan.PoolUser{Role: sim.gang.Roles[r].Name}
		for range 1 + d.roll(10)/8 {
			user.Takes = append(user.Takes, drawTake(d, &pool))
		}
		pool.Users = append(pool.Users, user)
	}
	return pool
}

// drawTake accepts items of a size and above, or any set of items.
func drawTake(d dice, pool *plan.Pool) []int {
	var take []int
	least, any := int64(1+d.roll(2)), often(d, 3)
	for i, item := range pool.Items {
		if any && often(d, 6) || !any && item.Size >= least {
			take = append(take, i)
		}
	}
	return take
}

func drawNodeLimit(d dice, sim *simulation, i int) plan.NodeLimit {
	l := plan.NodeLimit{Name: "mounts " + string(rune('a'+i)), Free: map[string]int{}, Present: map[string][]string{}}
	things := []string{"x", "y", "z"}
	for _, n := range sim.nodes {
		if often(d, 8) {
			l.Free[n.Name] = d.roll(4)
		}
		if often(d, 2) {
			l.Present[n.Name] = things[d.roll(3):][:1]
		}
	}
	for r := range sim.gang.Roles {
		if often(d, 2) {
			continue
		}
		user := plan.LimitUser{Role: sim.gang.Roles[r].Name, Own: d.roll(3)}
		for _, thing := range things {
			if often(d, 3) {
				user.Shared = append(user.Shared, thing)
			}
		}
		l.Users = append(l.Users, user)
	}
	return l
}
