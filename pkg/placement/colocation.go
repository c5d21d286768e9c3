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

// colocation is a set of roles whose members must be on one node, because their shared
// claims have devices that only that node can use.
type colocation struct {
	claims []string
	// roles are the gang's names of the roles.
	roles sets.Set[string]
}

// merge adds a claim to the colocations. It merges all colocations that have a role in
// common with the claim.
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

// apply requires one node for the roles. If they are the whole gang, the gang requires one
// node. Otherwise they become a new group inside their common group. apply returns false if
// they have no common group.
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

// scope returns the common group of the roles. all reports whether they are all roles of
// the gang. common is false if they have no common group.
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

// leaveRoomForOwners reserves room for a claim owner on the nodes of its role's other
// members. The owner is on the same node.
func (c *colocation) leaveRoomForOwners(roles []roleInput) {
	for o := range roles {
		if !roles[o].ownsClaims || !c.roles.Has(roles[o].base) {
			continue
		}
		for i := range roles {
			if roles[i].base != roles[o].base || roles[i].ownsClaims {
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

// describeColocated returns the end of a refusal: the claims that keep members on one node.
func describeColocated(claims []string) string {
	if len(claims) == 0 {
		return ""
	}
	return fmt.Sprintf("; members share resource claims %s, whose devices are one node's", strings.Join(claims, ", "))
}
