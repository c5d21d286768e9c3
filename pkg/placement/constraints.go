// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// innerSuffix is appended to the name of a gang's group to name the planner's group
// inside it, which requires a second level.
const innerSuffix = "/within"

// constraints are the topology constraints of a gang and its groups (gangs inside the gang),
// written as groups of the planner. The gang, or a group, may require one domain of a
// topology level (such as a rack) and also one value of a node label. The planner has one
// required level for each group, so two groups, one inside the other, then replace the
// group.
type constraints struct {
	required, preferred string
	minGroups           int
	groups              []plan.Group
	// inner has, by name of a gang's group, the name of the planner's group for the roles
	// and groups directly in it.
	inner map[string]string
}

// newConstraints reads the topology constraints of a gang and its groups. Each group must
// come after its parent.
func newConstraints(gang gangs.Gang, cache *cluster.Cache) constraints {
	outer, inner := requiredLevels(gang.Topology, cache)
	c := constraints{required: outer, preferred: gang.Topology.Preferred, minGroups: gang.MinGroups, inner: map[string]string{}}
	if inner != "" {
		c.groups = append(c.groups, plan.Group{Name: innerSuffix, Required: inner, MinGroups: c.minGroups})
		c.inner[""], c.minGroups = innerSuffix, 0
	}
	for _, group := range gang.Groups {
		c.addGroup(group, cache)
	}
	return c
}

func (c *constraints) addGroup(group gangs.Group, cache *cluster.Cache) {
	required, inner := requiredLevels(group.Topology, cache)
	outer := plan.Group{
		Name: group.Name, Parent: c.inner[group.Parent], Min: group.Min, MinGroups: group.MinGroups,
		Required: required, Preferred: group.Topology.Preferred,
	}
	c.inner[group.Name] = group.Name
	if inner == "" {
		c.groups = append(c.groups, outer)
		return
	}
	within := plan.Group{Name: group.Name + innerSuffix, Parent: group.Name, Min: group.Min, MinGroups: group.MinGroups, Required: inner}
	c.inner[group.Name], outer.MinGroups = within.Name, 0
	c.groups = append(c.groups, outer, within)
}

// requiredLevels returns the one or two levels that a topology constraint requires: one
// domain of each must hold the members. inner is "" if there is only one.
func requiredLevels(t gangs.Topology, cache *cluster.Cache) (outer, inner string) {
	label := cache.LevelOf(t.RequiredLabel)
	if t.RequiredLabel == "" || label == t.Required {
		return t.Required, ""
	}
	return label, t.Required
}

// unknownLevel returns a sentence about the first topology constraint with a level that is
// not among levels, or "".
func unknownLevel(g gangs.Gang, levels []string) string {
	wishes := []gangs.Topology{g.Topology}
	for _, group := range g.Groups {
		wishes = append(wishes, group.Topology)
	}
	for _, role := range g.Roles {
		wishes = append(wishes, role.Topology)
	}
	for _, wish := range wishes {
		for _, named := range []struct{ annotation, level string }{
			{gangs.RequiredAnnotation, wish.Required},
			{gangs.PreferredAnnotation, wish.Preferred},
		} {
			if named.level != "" && !slices.Contains(levels, named.level) {
				return fmt.Sprintf("annotation %s of %s names level %q; the levels here are %s",
					named.annotation, g.Key, named.level, strings.Join(levels, ", "))
			}
		}
	}
	return ""
}
