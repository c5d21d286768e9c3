// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// colocation is a set of roles whose members must be on one node, because only that
// node can use the devices of claims that they share.
type colocation struct {
	claims []string
	// roles are the gang's names.
	roles sets.Set[string]
}

// merge adds a claim to the colocations. Those that have a role in common with it
// become one.
func merge(colocations []colocation, claim sharedClaim) []colocation {
	merged := colocation{claims: []string{claim.name}, roles: sets.New(claim.roles...)}
	var disjoint []colocation
	for _, other := range colocations {
		if !other.roles.HasAny(claim.roles...) {
			disjoint = append(disjoint, other)
			continue
		}
		merged.claims, merged.roles = append(merged.claims, other.claims...), merged.roles.Union(other.roles)
	}
	return append(disjoint, merged)
}

// apply makes the planner put the roles on one node. If they are the whole gang, the
// gang requires one node; otherwise they become a group in the group that they have in
// common. It returns false if they have no group in common.
func (c *colocation) apply(gang *plan.Gang, roles []roleInput) bool {
	group, all, common := c.scope(roles)
	switch {
	case all:
		gang.Required, gang.Preferred = plan.NodeLevel, ""
	case !common:
		return false
	default:
		name := group + "/sharing " + strings.Join(c.claims, ", ")
		gang.Groups = append(gang.Groups, plan.Group{Name: name, Parent: group, Required: plan.NodeLevel})
		for i := range roles {
			if c.roles.Has(roles[i].base) {
				roles[i].Group = name
			}
		}
	}
	c.leaveRoomForOwners(roles)
	return true
}

// scope returns the group that the roles have in common, and whether they are all roles
// of the gang.
func (c *colocation) scope(roles []roleInput) (group string, all, common bool) {
	all, common = true, true
	found := false
	for i := range roles {
		if !c.roles.Has(roles[i].base) {
			all = false
			continue
		}
		common = common && (!found || roles[i].Group == group)
		group, found = roles[i].Group, true
	}
	return group, all, common
}

// leaveRoomForOwners makes the other members of a claim owner's role leave room for the
// owner, which is on the same node.
func (c *colocation) leaveRoomForOwners(roles []roleInput) {
	for o := range roles {
		if !roles[o].ownsClaims || !c.roles.Has(roles[o].base) {
			continue
		}
		for i := range roles {
			if roles[i].Name != roles[o].base {
				continue
			}
			roles[i].companions = 1
			roles[i].Limit = maps.Clone(roles[i].Limit)
			for node, most := range roles[i].Limit {
				roles[i].Limit[node] = max(0, most-1)
			}
		}
	}
}

// describeColocated ends a refusal with the claims that keep members on one node.
func describeColocated(claims []string) string {
	if len(claims) == 0 {
		return ""
	}
	return fmt.Sprintf("; members share resource claims %s, whose devices are one node's", strings.Join(claims, ", "))
}
