// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// roleInput is a role of the planner's gang, with the pods that represent it.
type roleInput struct {
	plan.Role
	// base is the gang's name for the role. Roles that were split off have names of their
	// own.
	base string
	// ownsClaims is true for a role that was split off another role because its only member
	// gets the devices of claims that members share.
	ownsClaims bool
	// sample is the member that represents the role. The stock filters run for filtered, the
	// sample without the terms that the planner knows.
	sample, filtered *v1.Pod
	// needs is the pod for reading a member's needs: the sample without the shared claims
	// that it does not own.
	needs *v1.Pod
	// members are the pods of Members, in the same order.
	members []gangs.Member
	// key is what the members have in common, if the role is a part of a role.
	key partKey
	// rule says which nodes the members may use, nil for all.
	rule *nodeRule
	// companions is how many members with the same base, but in another role, are on
	// each node that the role uses.
	companions int
	// subrequests are those that the role's need has, and asks lists them for messages. They
	// are empty if the members have no alternatives.
	subrequests gangs.Subrequests
	asks        string
}

// partKey identifies the members that are alike to the planner.
type partKey struct {
	signature gangs.Signature
	// volumes identifies the nodes that the member's volumes allow, and claims what the
	// resource claims ask for that the member names.
	volumes, claims string
	// held has a bit for each term of the gang that the member has, and terms for each that
	// matches its labels.
	held, terms uint64
	// running identifies the terms of running pods that match the member's labels.
	running string
}

// rolesOf returns the roles that have members, in the planner's terms. inner gives the
// planner's group for each group of the gang.
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
			// exist.
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

// declaredRoles returns the declared roles, followed by roles that only members name.
// Members of undeclared roles join without being in the quorum.
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

// sampleOf returns the pod that represents its role. It prefers a member without a node:
// its claims include the devices still to be found.
func sampleOf(request *gangs.Request, members []gangs.Member) *v1.Pod {
	for _, m := range members {
		if request.Placed[m.Pod.UID] == "" {
			return m.Pod
		}
	}
	return members[0].Pod
}
