// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
)

// fault is a mistake in the request to place a gang: subject says where it is, detail what
// it is.
type fault struct{ subject, detail string }

func faultf(subject, format string, args ...any) *fault {
	return &fault{subject, fmt.Sprintf(format, args...)}
}

// decision returns the Decision about a gang whose request has the fault.
func (f *fault) decision(g *Gang) Decision {
	d := Decision{Gang: g.Name}
	return d.rejected(Reason{Kind: BadRequest, Subject: f.subject, Detail: f.detail})
}

// check returns the first fault of the gang's request, or nil. The order of the checks is
// fixed.
func (g *Gang) check(l *Layout) *fault {
	if len(g.Roles) == 0 {
		return faultf("roles", "the gang has none")
	}
	if f := checkLevels(l, "", g.Required, g.Preferred); f != nil {
		return f
	}
	if f := g.checkGroups(l); f != nil {
		return f
	}
	members, seen := 0, map[string]bool{}
	for i := range g.Roles {
		r := &g.Roles[i]
		if seen[r.Name] {
			return faultf("role "+r.Name, "its name is taken")
		}
		seen[r.Name] = true
		if f := r.check(l, g); f != nil {
			return f
		}
		members += len(r.Members)
	}
	if f := g.checkAlternatives(); f != nil {
		return f
	}
	if g.Min < 0 || g.Min > members {
		return faultf("min", "%d of %d members", g.Min, members)
	}
	return cmp.Or(g.checkConstraints(l), g.checkPools(), g.checkNodeLimits(), g.checkConflicts())
}

// checkAlternatives returns the first fault of the roles that serve as alternatives of
// another role (other needs of the same members), or nil.
func (g *Gang) checkAlternatives() *fault {
	used := map[string]bool{}
	for i := range g.Roles {
		for _, name := range g.Roles[i].Alternatives {
			at := "role " + g.Roles[i].Name + " alternatives"
			other := slices.IndexFunc(g.Roles, func(r Role) bool { return r.Name == name })
			switch {
			case other < 0:
				return faultf(at, "role %q does not exist", name)
			case used[name]:
				return faultf(at, "role %q is there twice", name)
			case g.ruled(name):
				return faultf(at, "a rule, pool or node limit names role %q", name)
			case len(g.Roles[other].Members)+len(g.Roles[other].Alternatives) > 0:
				return faultf(at, "role %q has members or alternatives", name)
			}
			used[name] = true
		}
	}
	return nil
}

func checkLevels(l *Layout, subject, required, preferred string) *fault {
	for _, v := range []struct{ field, level string }{{"required", required}, {"preferred", preferred}} {
		if v.level == "" {
			continue
		}
		if _, ok := l.level(v.level); !ok {
			return faultf(subject+v.field, "%q is no level of the fabric", v.level)
		}
	}
	return nil
}

func (g *Gang) checkGroups(l *Layout) *fault {
	children := map[string]int{}
	for _, p := range g.Groups {
		children[p.Parent]++
	}
	byName := map[string]*Group{}
	for i := range g.Groups {
		p := &g.Groups[i]
		if p.Name == "" || byName[p.Name] != nil {
			return faultf("group "+p.Name, "its name is empty or taken")
		}
		byName[p.Name] = p
		if f := checkLevels(l, "group "+p.Name+" ", p.Required, p.Preferred); f != nil {
			return f
		}
		if p.MinGroups < 0 || p.MinGroups > children[p.Name] {
			return faultf("group "+p.Name+" minGroups", "%d of %d groups", p.MinGroups, children[p.Name])
		}
	}
	if g.MinGroups < 0 || g.MinGroups > children[""] {
		return faultf("minGroups", "%d of %d groups", g.MinGroups, children[""])
	}
	return g.checkParents(byName)
}

func (g *Gang) checkParents(byName map[string]*Group) *fault {
	for i := range g.Groups {
		p := &g.Groups[i]
		for steps := 0; p.Parent != ""; steps++ {
			up := byName[p.Parent]
			if up == nil {
				return faultf("group "+p.Name, "its parent %q does not exist", p.Parent)
			}
			if steps > len(g.Groups) {
				return faultf("group "+g.Groups[i].Name, "it is its own ancestor")
			}
			p = up
		}
	}
	for i := range g.Groups {
		p := &g.Groups[i]
		if n := g.membersIn(p.Name); p.Min < 0 || p.Min > n {
			return faultf("group "+p.Name+" min", "%d of %d members", p.Min, n)
		}
	}
	return nil
}

// membersIn counts the members of a group and of the groups below it.
func (g *Gang) membersIn(group string) int {
	n := 0
	for i := range g.Roles {
		if g.inside(g.Roles[i].Group, group) {
			n += len(g.Roles[i].Members)
		}
	}
	return n
}

// inside returns true if a group is the group named scope or lies below it. The empty
// name is the gang. The caller must have checked the groups' parents.
func (g *Gang) inside(group, scope string) bool {
	for group != scope {
		if group == "" {
			return false
		}
		i := slices.IndexFunc(g.Groups, func(p Group) bool { return p.Name == group })
		if i < 0 {
			return false
		}
		group = g.Groups[i].Parent
	}
	return true
}

func (r *Role) check(l *Layout, g *Gang) *fault {
	at := "role " + r.Name + " "
	if f := checkLevels(l, at, r.Required, r.Preferred); f != nil {
		return f
	}
	if r.Group != "" && !slices.ContainsFunc(g.Groups, func(p Group) bool { return p.Name == r.Group }) {
		return faultf(at+"group", "%q does not exist", r.Group)
	}
	if r.Min < 0 || r.Min > len(r.Members) {
		return faultf(at+"min", "%d of %d members", r.Min, len(r.Members))
	}
	if name, ok := repeated(r.Members); ok {
		return faultf(at+"members", "%q is there twice", name)
	}
	if f := r.Slice.check(l, at); f != nil {
		return f
	}
	return r.Need.check(l, at)
}

// repeated returns a name that two members share. It needs no map if names are ascending.
func repeated(members []Member) (name string, ok bool) {
	ascend := true
	for i := 1; i < len(members) && ascend; i++ {
		ascend = members[i-1].Name < members[i].Name
	}
	if ascend {
		return "", false
	}
	seen := make(map[string]bool, len(members))
	for i := range members {
		if seen[members[i].Name] {
			return members[i].Name, true
		}
		seen[members[i].Name] = true
	}
	return "", false
}

func (s *Slice) check(l *Layout, at string) *fault {
	if f := checkLevels(l, at+"slice ", s.Required, s.Preferred); f != nil {
		return f
	}
	if f := checkLevels(l, at+"slice spread ", s.Spread, ""); f != nil {
		return f
	}
	if s.Size < 0 {
		return faultf(at+"slice size", "%d", s.Size)
	}
	if s.Size < 2 && s.Required+s.Preferred+s.Spread != "" {
		return faultf(at+"slice size", "%d is no slice, but levels are given", s.Size)
	}
	return nil
}

func (n *Need) check(l *Layout, at string) *fault {
	if len(withoutTail(n.Resources)) > len(l.Resources) {
		return faultf(at+"resources", "%d amounts for %d resources", len(n.Resources), len(l.Resources))
	}
	for i, v := range n.Resources {
		if v < 0 {
			return faultf(at+"resources", "%s is %d", l.Resources[i], v)
		}
	}
	if n.PerNode < 0 {
		return faultf(at+"perNode", "%d", n.PerNode)
	}
	for i := range n.Devices {
		d := &n.Devices[i]
		if d.Count < 0 {
			return faultf(at+"devices", "count is %d", d.Count)
		}
		for _, k := range d.Kinds {
			if k < 0 || k >= len(l.Kinds) {
				return faultf(at+"devices", "kind %d of %d", k, len(l.Kinds))
			}
		}
	}
	return nil
}
