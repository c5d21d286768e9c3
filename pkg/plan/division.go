// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// chooser is a role with alternatives: each of its members has the role's own need or the
// need of an alternative.
type chooser struct {
	spec *Role
	// needs are indices in Gang.Roles: the role itself, then its alternatives.
	needs []int
	// units are the pending members, grouped: the members of a unit must have the same
	// need.
	units [][]Member
	bound []Member
	// rooms has, by index in needs, an upper bound of how many units fit with this need.
	rooms []int
	// allNeeded is true if all members of the role are needed: its minimum says so, or
	// the gang or group around it has no minimum at all.
	allNeeded bool
}

// division has, by chooser (role with alternatives) and need, the number of units
// (members that must have the same need) that have the need.
type division [][]int

// before returns true if division d is preferred to o: d gives more units the first need
// for which the two numbers of units differ.
func (d division) before(o division) bool {
	for i := range d {
		if c := slices.Compare(d[i], o[i]); c != 0 {
			return c > 0
		}
	}
	return false
}

func (d division) clone() division {
	out := make(division, len(d))
	for i := range d {
		out[i] = slices.Clone(d[i])
	}
	return out
}

// hasAlternatives returns true if some role has alternatives and members.
func (g *Gang) hasAlternatives() bool {
	return slices.ContainsFunc(g.Roles, func(r Role) bool { return len(r.Alternatives) > 0 && len(r.Members) > 0 })
}

// choosers returns the roles that have alternatives and members, ordered by name.
func (g *Gang) choosers() []chooser {
	var out []chooser
	for i := range g.Roles {
		r := &g.Roles[i]
		if len(r.Alternatives) == 0 || len(r.Members) == 0 {
			continue
		}
		c := chooser{spec: r, needs: []int{i}, allNeeded: r.Min == len(r.Members) || g.unstated(r.Group)}
		for _, name := range r.Alternatives {
			c.needs = append(c.needs, slices.IndexFunc(g.Roles, func(o Role) bool { return o.Name == name }))
		}
		c.divide(g.indivisible(r))
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b chooser) int { return natural(a.spec.Name, b.spec.Name) })
	return out
}

// indivisible returns true if all pending members of a role must have the same need.
// Members with different needs become members of different new roles. New roles cannot keep
// the rules of slices (runs of members that belong together) that spread or have bound
// members. If needsGroup is true, the new roles also need a new group around them. It must
// not change which members the gang needs at least. It would in two cases: if MinGroups
// (the fewest complete groups) would count it; or if the role has no minimum, but the gang
// or group around the role, or another role there, has one: the new group, without a
// minimum, would need all its members.
func (g *Gang) indivisible(r *Role) bool {
	isBound := func(m Member) bool { return m.Node != "" }
	if r.Slice.Size > 1 && (r.Slice.Spread != "" || slices.ContainsFunc(r.Members, isBound)) {
		return true
	}
	if !r.needsGroup() {
		return false
	}
	counted := g.MinGroups > 0
	if r.Group != "" {
		counted = slices.ContainsFunc(g.Groups, func(o Group) bool { return o.Name == r.Group && o.MinGroups > 0 })
	}
	return counted || r.Min == 0 && !g.unstated(r.Group)
}

// unstated returns true if neither the group (the gang for the empty name) nor the roles
// directly in it have a minimum. Then all their members are needed.
func (g *Gang) unstated(group string) bool {
	least := g.Min
	if group != "" {
		least = g.Groups[slices.IndexFunc(g.Groups, func(o Group) bool { return o.Name == group })].Min
	}
	return least == 0 && !slices.ContainsFunc(g.Roles, func(r Role) bool { return r.Group == group && r.Min > 0 })
}

// needsGroup returns true if the role's levels or minimum are about all its members
// together. Several roles in its place then need a group around them.
func (r *Role) needsGroup() bool {
	return r.Required+r.Preferred != "" || r.Min > 0 && r.Min < len(r.Members)
}

// divide sets the chooser's units (pending members that must have the same need) and bound
// members. If ranks are equal or negative, members of a role with slices get their index as
// rank, so that they stay in their slices.
func (c *chooser) divide(indivisible bool) {
	members := orderedMembers(c.spec.Members)
	size, byRank := c.spec.Slice.Size, distinctRanks(members)
	last := -1
	for i, m := range members {
		if m.Node != "" {
			c.bound = append(c.bound, *m)
			continue
		}
		member, unit := *m, i
		if size > 1 {
			if !byRank {
				member.Rank = i
			}
			unit = member.Rank / size
		}
		if indivisible {
			unit = 0
		}
		if unit != last {
			c.units = append(c.units, nil)
			last = unit
		}
		c.units[len(c.units)-1] = append(c.units[len(c.units)-1], member)
	}
}

// fixed returns the gang that a division describes, in which no role has alternatives and
// all rules name the new roles, and for each role of this gang its index in g.Roles.
func (g *Gang) fixed(choosers []chooser, d division) (Gang, []int) {
	out := *g
	out.Groups, out.Roles = slices.Clone(g.Groups), nil
	var index []int
	parts := map[int]bool{}
	for i := range choosers {
		for n, role := range out.parts(g, &choosers[i], d[i]) {
			if len(role.Members) > 0 {
				out.Roles, index = append(out.Roles, role), append(index, choosers[i].needs[n])
			}
			parts[choosers[i].needs[n]] = true
		}
	}
	for i := range g.Roles {
		if !parts[i] {
			out.Roles, index = append(out.Roles, g.Roles[i]), append(index, i)
		}
	}
	out.renameRoles(func(role string) []string { return g.standIns(choosers, d, role) })
	return out, index
}

// parts returns a role for each need of a chooser (a role with alternatives), with its
// share of the members: counts has, by need, the number of units (members that must have
// the same need) that have it. It adds a group around these roles if the original role's
// minimum or levels are about all its members together.
func (g *Gang) parts(from *Gang, c *chooser, counts []int) []Role {
	out := make([]Role, len(c.needs))
	parts, next, rest := 0, 0, c.bound
	for n, need := range c.needs {
		other := &from.Roles[need]
		out[n] = *c.spec
		out[n].Name, out[n].Need, out[n].RDMA = other.Name, other.Need, other.RDMA
		out[n].Nodes, out[n].NodesFixed, out[n].Limit = other.Nodes, other.NodesFixed, other.Limit
		out[n].Alternatives, out[n].Members = nil, nil
		if !used(c, counts, n) {
			continue
		}
		parts++
		out[n].Members, rest = slices.Clone(rest), nil
		for range counts[n] {
			out[n].Members = append(out[n].Members, c.units[next]...)
			next++
		}
	}
	if parts > 1 {
		g.together(c, out)
	}
	return out
}

// used returns true if some members of a chooser have the need with this index. counts
// has, by need, the number of units that have the need. If no member is pending, the bound
// members have the first need.
func used(c *chooser, counts []int, need int) bool {
	return counts[need] > 0 || need == 0 && len(c.units) == 0
}

// together gives the roles that replace a role with alternatives the minimum and levels of
// the replaced role. If these are about all its members together, a new group around the
// roles has them.
func (g *Gang) together(c *chooser, parts []Role) {
	all := c.spec.Min == len(c.spec.Members)
	for n := range parts {
		parts[n].Min = 0
		if all {
			parts[n].Min = len(parts[n].Members)
		}
	}
	if !c.spec.needsGroup() {
		return
	}
	group := Group{Name: "alternatives of role " + c.spec.Name, Parent: c.spec.Group, Required: c.spec.Required, Preferred: c.spec.Preferred}
	if !all {
		group.Min = c.spec.Min
	}
	g.Groups = append(g.Groups, group)
	for n := range parts {
		parts[n].Group, parts[n].Required, parts[n].Preferred = group.Name, "", ""
	}
}

// standIns returns the names of the roles that replace a role in the gang of a division:
// one for each need that members have, or the role itself if it has no alternatives.
func (g *Gang) standIns(choosers []chooser, d division, role string) []string {
	at := slices.IndexFunc(choosers, func(c chooser) bool { return c.spec.Name == role })
	if at < 0 {
		return []string{role}
	}
	var out []string
	for n, need := range choosers[at].needs {
		if used(&choosers[at], d[at], n) {
			out = append(out, g.Roles[need].Name)
		}
	}
	return out
}

// apartOnNodes returns true if a rule gives each node at most one member of the role.
func (g *Gang) apartOnNodes(role string) bool {
	return slices.ContainsFunc(g.AntiAffinity, func(rule AntiAffinity) bool {
		return rule.Level == NodeLevel && slices.Contains(rule.Roles, role) && slices.Contains(rule.Others, role)
	})
}

// within returns true if a member of r fits wherever a member of b fits. False may also
// mean that this is unknown.
func (r *Role) within(b *Role) bool {
	if len(r.Limit) > 0 || r.RDMA && !b.RDMA || (r.Nodes == nil) != (b.Nodes == nil) || !slices.Equal(r.Nodes, b.Nodes) {
		return false
	}
	return r.Need.within(&b.Need)
}

// within returns true if need n takes nothing that need b does not take as well, and has
// no limits except amounts, so that n fits wherever b fits. False may also mean that this
// is unknown.
func (n *Need) within(b *Need) bool {
	if n.PerNode > 0 || n.Aligned && (len(n.Devices) > 1 || len(b.Devices) > 1) {
		return false // fewer anchors (GPUs) may leave more followers (NICs) without one beside them
	}
	for i, amount := range n.Resources {
		if amount > 0 && (i >= len(b.Resources) || b.Resources[i] < amount) {
			return false
		}
	}
	left := slices.Clone(b.Devices)
	for _, d := range n.Devices {
		if d.Count == 0 {
			continue
		}
		at := slices.IndexFunc(left, func(o DeviceNeed) bool {
			return o.Count >= d.Count && slices.Equal(newKindSet(o.Kinds), newKindSet(d.Kinds))
		})
		if at < 0 {
			return false
		}
		left = slices.Delete(left, at, at+1)
	}
	return true
}
