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

// colocation is a set of roles whose members must be on one node, because they share
// claims whose devices only one node can use.
type colocation struct {
	claims []string
	// roles has the names of the roles in the gang.
	roles sets.Set[string]
}

// merge adds a shared claim whose devices only one node can use. It merges all
// colocations (roles that must be on one node) that have a role in common with the claim.
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

// apply requires one node for all members of the colocation's roles. If these are all
// roles of the gang, the gang requires one node. Otherwise they become a new group (a
// gang inside the gang) inside their common group. apply returns false if they have no
// common group.
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

// scope returns the group that all roles of the colocation are in. all reports whether
// these are all roles of the gang. common is false if they are in different groups.
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

// leaveRoomForOwners leaves room for a claim owner (a member split off its role, whose
// need has the devices of shared claims) on the nodes of the role's other members: the
// owner will be on the same node.
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

// describeColocated returns the end of a refusal: the shared claims that keep members on
// one node. It returns "" without such claims.
func describeColocated(claims []string) string {
	if len(claims) == 0 {
		return ""
	}
	return fmt.Sprintf("; members share resource claims %s, whose devices are one node's", strings.Join(claims, ", "))
}
