// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// within is added to the name of a scope to name the one that stands inside it.
const within = "/within"

// scopes writes the gang's topology wish, and the gangs inside it, in the planner's
// terms. A scope that must be in one domain of two levels, because a label and a
// level are required of it, becomes two, one inside the other.
func (p *planning) scopes(survey *cluster.Cache) {
	p.inner = map[string]string{}
	outer, inner := confines(p.gang.Topology, survey)
	p.ask.Required, p.ask.Preferred, p.ask.MinGroups = outer, p.gang.Topology.Preferred, p.gang.MinGroups
	if inner != "" {
		p.ask.Groups = append(p.ask.Groups, plan.Group{Name: within, Required: inner, MinGroups: p.ask.MinGroups})
		p.inner[""], p.ask.MinGroups = within, 0
	}
	for _, group := range p.gang.Groups {
		p.scope(group, survey)
	}
}

// scope is scopes for one group; parents come before their children.
func (p *planning) scope(group gangs.Group, survey *cluster.Cache) {
	outer, inner := confines(group.Topology, survey)
	one := plan.Group{
		Name: group.Name, Parent: p.inner[group.Parent], Min: group.Min, MinGroups: group.MinGroups,
		Required: outer, Preferred: group.Topology.Preferred,
	}
	p.inner[group.Name] = group.Name
	if inner != "" {
		two := plan.Group{Name: group.Name + within, Parent: group.Name, Min: group.Min, MinGroups: group.MinGroups, Required: inner}
		p.inner[group.Name], one.MinGroups = two.Name, 0
		p.ask.Groups = append(p.ask.Groups, one, two)
		return
	}
	p.ask.Groups = append(p.ask.Groups, one)
}

// confines returns the levels of which one domain must hold a scope; the second is
// "" if there is only one.
func confines(t gangs.Topology, survey *cluster.Cache) (outer, inner string) {
	switch label := survey.LevelOf(t.RequiredLabel); {
	case t.RequiredLabel == "" || label == t.Required:
		return t.Required, ""
	default:
		return label, t.Required
	}
}

// solveWhole asks the planner. Where the request says so, it asks for all members
// first, and for a quorum if they have no room.
func (p *planning) solveWhole(picture *plan.Snapshot) plan.Decision {
	if !p.whole || !p.confined() {
		return p.solve(picture, p.trials.fits)
	}
	quorum := p.ask
	p.ask.Roles, p.ask.Groups = slices.Clone(quorum.Roles), slices.Clone(quorum.Groups)
	p.ask.Min, p.ask.MinGroups = 0, 0
	more := false
	for i := range p.ask.Roles {
		role := &p.ask.Roles[i]
		more = more || role.Min < len(role.Members)
		role.Min = len(role.Members)
	}
	for i := range p.ask.Groups {
		p.ask.Groups[i].Min, p.ask.Groups[i].MinGroups = 0, 0
	}
	if more {
		if decision := p.solve(picture, p.trials.fits); decision.Placed {
			return decision
		}
	}
	p.ask = quorum
	return p.solve(picture, p.trials.fits)
}

// confined says that some part of the gang must be in one domain.
func (p *planning) confined() bool {
	return p.ask.Required != "" || slices.ContainsFunc(p.ask.Groups, func(g plan.Group) bool { return g.Required != "" }) ||
		slices.ContainsFunc(p.ask.Roles, func(r plan.Role) bool { return r.Required != "" })
}

// unknownLevel finds a topology wish that names no level of the fabric.
func unknownLevel(g gangs.Gang, levels []string) string {
	wishes := []gangs.Topology{g.Topology}
	for _, group := range g.Groups {
		wishes = append(wishes, group.Topology)
	}
	for _, role := range g.Roles {
		wishes = append(wishes, role.Topology)
	}
	for _, wish := range wishes {
		for _, one := range []struct{ annotation, level string }{
			{gangs.RequiredAnnotation, wish.Required},
			{gangs.PreferredAnnotation, wish.Preferred},
		} {
			if one.level != "" && !slices.Contains(levels, one.level) {
				return fmt.Sprintf("annotation %s of %s names level %q; the levels here are %s",
					one.annotation, g.Key, one.level, strings.Join(levels, ", "))
			}
		}
	}
	return ""
}
