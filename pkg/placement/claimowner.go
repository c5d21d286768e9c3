// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
)

// splitClaimOwners makes one member of a role the owner of each claim that all members of
// the role share: the member becomes a role of its own whose need (of resources and
// devices) includes the claim's devices. It appends these roles. A role with one member
// becomes the owner as it is. shared has all claims of several members, claims those that
// whole roles share.
func splitClaimOwners(roles []roleInput, shared sets.Set[string], claims []sharedClaim) []roleInput {
	for i := range roles {
		var owned []string
		for _, claim := range claims {
			if claim.roles[0] == roles[i].Name {
				owned = append(owned, claim.name)
			}
		}
		withOwned := withoutClaims(roles[i].sample, shared.Difference(sets.New(owned...)))
		switch {
		case len(owned) == 0 || len(roles[i].Members) == 1:
			roles[i].needs = withOwned
		default:
			owner := roles[i].splitOwner(owned)
			owner.needs, roles[i].needs = withOwned, withoutClaims(roles[i].sample, shared)
			roles = append(roles, owner)
		}
	}
	return roles
}

// splitOwner removes the first member from the role and returns it as a role of its own
// that owns the claims: its need will include their devices.
func (r *roleInput) splitOwner(claims []string) roleInput {
	owner := *r
	owner.ownsClaims, owner.Name = true, r.Name+" with resource claims "+strings.Join(claims, ", ")
	owner.Members, r.Members = r.Members[:1:1], r.Members[1:]
	owner.members, r.members = r.members[:1:1], r.members[1:]
	owner.Min = min(1, r.Min)
	r.Min -= owner.Min
	owner.Limit = map[string]int{}
	for node, most := range r.Limit {
		if most == 0 {
			owner.Limit[node] = 0
		}
	}
	return owner
}
