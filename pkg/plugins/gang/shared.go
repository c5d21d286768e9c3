// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/dovetail-dev/dovetail/pkg/plan"
	"github.com/dovetail-dev/dovetail/pkg/snapshot"
)

// sharedClaims finds claims that several members to be placed name and that have
// no devices yet, with the roles of those members. The first member gets devices
// for all, so they stand in no member's needs.
func (p *planning) sharedClaims(survey *snapshot.Survey) map[string]sets.Set[string] {
	users, roles := map[string]int{}, map[string]sets.Set[string]{}
	for _, m := range p.members {
		if p.placed[m.Pod.UID] != "" {
			continue
		}
		for name := range claimsByName(m.Pod) {
			users[name]++
			if roles[name] == nil {
				roles[name] = sets.New[string]()
			}
			roles[name].Insert(m.Role)
		}
	}
	for name := range roles {
		if users[name] < 2 || !survey.Unallocated(p.gang.Key.Namespace, name) {
			delete(roles, name)
		}
	}
	return roles
}

// claimsByName are the claims that the pod names itself: those made from a
// template are its own.
func claimsByName(pod *v1.Pod) sets.Set[string] {
	names := sets.New[string]()
	for _, one := range pod.Spec.ResourceClaims {
		if one.ResourceClaimName != nil {
			names.Insert(*one.ResourceClaimName)
		}
	}
	return names
}

// withoutClaims returns the pod as if it did not name these claims.
func withoutClaims[T any](pod *v1.Pod, claims map[string]T) *v1.Pod {
	shared := func(one v1.PodResourceClaim) bool {
		if one.ResourceClaimName == nil {
			return false
		}
		_, found := claims[*one.ResourceClaimName]
		return found
	}
	if !slices.ContainsFunc(pod.Spec.ResourceClaims, shared) {
		return pod
	}
	pod = pod.DeepCopy()
	pod.Spec.ResourceClaims = slices.DeleteFunc(pod.Spec.ResourceClaims, shared)
	return pod
}

// keepTogether has the planner put members that share a claim on one node, where
// devices are a node's own: that of one role if all its members to be placed name
// the claim, or the whole gang if those of all roles do. Other ways to share are
// left to the filters, which know where the devices are once the first member has
// reserved them.
func (p *planning) keepTogether(shared map[string]sets.Set[string], survey *snapshot.Survey) {
	if len(shared) == 0 || !survey.NodesOwnDevices() {
		return
	}
	for name, roles := range shared {
		if !p.allName(name, roles) {
			continue
		}
		switch roles.Len() {
		case 1:
			role := p.askedRole(roles.UnsortedList()[0])
			role.Required, role.Preferred = plan.NodeLevel, ""
		case len(p.ask.Roles):
			p.ask.Required, p.ask.Preferred = plan.NodeLevel, ""
		default:
			continue
		}
		p.together = append(p.together, name)
	}
	slices.Sort(p.together)
}

// allName says whether all members of the roles that are to be placed name the claim.
func (p *planning) allName(claim string, roles sets.Set[string]) bool {
	for _, m := range p.members {
		if roles.Has(m.Role) && p.placed[m.Pod.UID] == "" && !claimsByName(m.Pod).Has(claim) {
			return false
		}
	}
	return true
}

func (p *planning) askedRole(name string) *plan.Role {
	for i := range p.ask.Roles {
		if p.ask.Roles[i].Name == name {
			return &p.ask.Roles[i]
		}
	}
	return &plan.Role{} // a role without members is not asked for
}

// sharing ends a refusal with the claims that keep members on one node.
func (p *planning) sharing() string {
	if len(p.together) == 0 {
		return ""
	}
	return fmt.Sprintf("; members share resource claims %s, whose devices are one node's", strings.Join(p.together, ", "))
}
