// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// assignment converts the planner's answer, which has names of members, to a
// gangs.Assignment, which has the nodes and other results by the UIDs of the members' pods.
func (p *planInput) assignment(found *answer) gangs.Assignment {
	a := gangs.Assignment{
		Nodes:     map[types.UID]string{},
		Rails:     map[types.UID]int{},
		Roles:     map[types.UID]gangs.RoleSignature{},
		Needs:     map[types.UID]gangs.Capacity{},
		Pinned:    map[types.UID]bool{},
		Short:     map[string]int{},
		Alignment: p.alignment,
		Domain:    domainOf(&found.decision),
	}
	for _, planned := range found.decision.Assignments {
		uid := p.pending[planned.Member].UID
		a.Nodes[uid], a.Rails[uid] = planned.Node, planned.Rail
		if planned.Order > 0 {
			if a.Order == nil {
				a.Order = map[types.UID]int{}
			}
			a.Order[uid] = planned.Order
		}
	}
	for i := range found.gang.Roles {
		p.assignRole(&a, &found.gang.Roles[i], &p.roles[i])
	}
	p.assignAlternatives(&a, found)
	for i := range found.gang.Groups {
		if base, ok := p.roleOfGroup[found.gang.Groups[i].Name]; ok {
			a.Short[base] += found.gang.Groups[i].Min
		}
	}
	return a
}

// assignRole adds the members of one of the planner's roles (members with equal demands) to
// the assignment, under the name that the role has in the gang. input is the role before
// planning.
func (p *planInput) assignRole(a *gangs.Assignment, role *plan.Role, input *roleInput) {
	name, need := input.base, p.cache.CapacityOf(role.Need)
	a.Short[name] += role.Min
	for i, m := range role.Members {
		pod := p.pending[m.Name]
		if pod == nil {
			a.Short[name]-- // the member has a node already and counts for the quorum
			continue
		}
		a.Roles[pod.UID] = gangs.RoleSignature{Role: name, Signature: input.members[i].Signature}
		a.Needs[pod.UID] = need
		if m.Node != "" {
			a.Nodes[pod.UID], a.Pinned[pod.UID] = m.Node, true
		}
	}
}

// assignAlternatives corrects the assignment for members whose requests have alternatives
// (firstAvailable): such a member needs what the chosen alternatives ask for. It also
// adds the names of these alternatives, the subrequests.
func (p *planInput) assignAlternatives(a *gangs.Assignment, found *answer) {
	if !slices.ContainsFunc(p.roles, func(r roleInput) bool { return r.subrequests != "" }) {
		return
	}
	a.Subrequests = map[types.UID]gangs.Subrequests{}
	for _, planned := range found.decision.Assignments {
		role := &p.roles[slices.IndexFunc(p.roles, func(r roleInput) bool { return r.Name == planned.Role })]
		if role.subrequests == "" {
			continue
		}
		uid := p.pending[planned.Member].UID
		signed := a.Roles[uid]
		signed.Subrequests = role.subrequests
		a.Roles[uid], a.Needs[uid], a.Subrequests[uid] = signed, p.cache.CapacityOf(role.Need), role.subrequests
	}
}

// surplus returns the sentence about members beyond the gang's quorum (the members that must
// start together) that got no node, or "" if all members have a node.
func surplus(gang *gangs.Gang, decision *plan.Decision) string {
	if decision.Unplaced == 0 {
		return ""
	}
	quorum := "its quorum"
	if gang.Min > 0 {
		quorum += fmt.Sprintf(" of %d", gang.Min)
	}
	return fmt.Sprintf("gang %s has %s in %s; no room for %d more members that may join it%s",
		gang.Key, quorum, decision.Domain, decision.Unplaced, decision.LeftOver())
}

// domainOf names the topology domain (such as a rack) of a decision, for messages.
func domainOf(decision *plan.Decision) string {
	return strings.TrimSpace(decision.Domain.Level + " " + decision.Domain.Path)
}
