// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// roleInput is one of the planner's roles, with the pods of its members. A role of the gang
// may become several roles of the planner.
type roleInput struct {
	plan.Role
	// base is the name of the role in the gang. Roles that were split off it have other
	// names for the planner.
	base string
	// ownsClaims is true for a role that was split off to own claims that members share:
	// the need of its only member has the devices of these claims.
	ownsClaims bool
	// sample is the member whose pod represents the role. The stock filters run for
	// filtered: the sample without the affinity and spread terms that the planner judges.
	sample, filtered *v1.Pod
	// needs is the pod from which a member's need (resources and devices) is read: the
	// sample without the shared claims that this role does not own.
	needs *v1.Pod
	// members are the members with their pods, in the order of Members, which has them in
	// the planner's types.
	members []gangs.Member
	// key is what the role's members have in common, unlike the members of other roles
	// with the same base.
	key partKey
	// rule says which nodes the members may use, nil for all.
	rule *nodeRule
	// companions is how many members of another role with the same base will be on each
	// node that the role uses.
	companions int
	// subrequests are the alternatives (firstAvailable) chosen for the role's need, and
	// asks lists them for messages. They are empty if the members have no alternatives.
	subrequests gangs.Subrequests
	asks        string
}

// partKey is equal for members of a role that do not differ for the planner.
type partKey struct {
	signature gangs.Signature
	// volumes identifies what the member's volumes ask of a node. claims identifies what the
	// resource claims ask for that the member's pod names (resourceClaimName).
	volumes, claims string
	// held has a bit for each affinity, anti-affinity or spread term of the gang that the
	// member has, terms a bit for each that matches the member's labels.
	held, terms uint64
	// running identifies the anti-affinity terms of running pods that match the member's
	// labels.
	running string
}

// rolesOf returns the gang's roles that have members, in the planner's types. inner has,
// by name of a group of the gang, the name of the planner's group for the roles in it.
func rolesOf(request *gangs.Request, inner map[string]string) []roleInput {
	var roles []roleInput
	for _, declared := range declaredRoles(request) {
		members := membersOf(request, declared.Name)
		if len(members) == 0 {
			continue
		}
		planned := plan.Role{
			Name:  declared.Name,
			Group: inner[declared.Group],
			// A gang that lost members while running cannot require more members than
			// exist now.
			Min:       min(max(0, declared.Min-request.Done[declared.Name]), len(members)),
			Required:  declared.Topology.Required,
			Preferred: declared.Topology.Preferred,
		}
		for _, m := range members {
			planned.Members = append(planned.Members, plan.Member{Name: m.Pod.Name, Node: request.Placed[m.Pod.UID], Rank: int(m.Rank.Index)})
		}
		roles = append(roles, roleInput{Role: planned, base: declared.Name, members: members})
	}
	return roles
}

// declaredRoles returns the roles that the gang declares, followed by roles that only
// members name. Members of the latter join the gang without being in the quorum (the members
// that must start together).
func declaredRoles(request *gangs.Request) []gangs.Role {
	roles := slices.Clone(request.Gang.Roles)
	for _, m := range request.Members {
		if !slices.ContainsFunc(roles, func(r gangs.Role) bool { return r.Name == m.Role }) {
			roles = append(roles, gangs.Role{Name: m.Role})
		}
	}
	return roles
}

func membersOf(request *gangs.Request, role string) []gangs.Member {
	var members []gangs.Member
	for _, m := range request.Members {
		if m.Role == role {
			members = append(members, m)
		}
	}
	return members
}

// sampleOf returns the pod that represents members of a role. It prefers a member without
// a node: its claims still ask for devices.
func sampleOf(request *gangs.Request, members []gangs.Member) *v1.Pod {
	for _, m := range members {
		if request.Placed[m.Pod.UID] == "" {
			return m.Pod
		}
	}
	return members[0].Pod
}
