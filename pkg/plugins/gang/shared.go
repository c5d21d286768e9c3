// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/resourceclaim"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Claims that several members have, and that have no devices yet, are allocated
// once: the first member gets devices for all. So they stand in the needs of one
// member, the carrier, and the planner keeps the others where the devices can be
// used. What only some members of a role share is left to the filters, which know
// where the devices are once the first member has reserved them.

// share is a claim that all members to be placed of some roles have.
type share struct {
	claim string
	// roles are in the order in which they are asked for. The first has the carrier.
	roles []string
}

// sharedClaims finds the claims that members share, in order, with all that there
// is to know of those that whole roles share.
func (p *planning) sharedClaims(survey *cluster.Cache) (shared sets.Set[string], shares []share) {
	type use struct{ claim, role string }
	users, pending, standing := map[use]int{}, map[string]int{}, sets.New[string]()
	all := map[string]int{}
	for _, m := range p.members {
		if p.placed[m.Pod.UID] != "" {
			standing.Insert(m.Role)
			continue
		}
		pending[m.Role]++
		for _, claim := range sharable(m.Pod) {
			users[use{claim, m.Role}]++
			all[claim]++
		}
	}
	maps.DeleteFunc(all, func(claim string, n int) bool {
		return n < 2 || !survey.Unallocated(p.gang.Key.Namespace, claim)
	})
	for _, claim := range slices.Sorted(maps.Keys(all)) {
		one := share{claim: claim}
		whole := true
		for i := range p.ask.Roles {
			role := p.ask.Roles[i].Name
			if n := users[use{claim, role}]; n > 0 {
				one.roles = append(one.roles, role)
				whole = whole && n == pending[role] && !standing.Has(role)
			}
		}
		if whole {
			shares = append(shares, one)
		}
	}
	return sets.KeySet(all), shares
}

// sharable are the claims of the pod that others may have as well: those that it
// names itself, and in a PodGroup of scheduling.k8s.io those made from a template,
// which may be the group's.
func sharable(pod *v1.Pod) []string {
	var names []string
	for i := range pod.Spec.ResourceClaims {
		if name := sharableName(pod, &pod.Spec.ResourceClaims[i]); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func sharableName(pod *v1.Pod, one *v1.PodResourceClaim) string {
	if one.ResourceClaimName == nil && !gangs.InPodGroup(pod) {
		return ""
	}
	name, _, err := resourceclaim.Name(pod, one)
	if err != nil || name == nil {
		return "" // there is none, or none yet
	}
	return *name
}

// withoutClaims returns the pod as if it did not have these claims.
func withoutClaims(pod *v1.Pod, claims sets.Set[string]) *v1.Pod {
	has := func(one v1.PodResourceClaim) bool { return claims.Has(sharableName(pod, &one)) }
	if claims.Len() == 0 || !slices.ContainsFunc(pod.Spec.ResourceClaims, has) {
		return pod
	}
	without := pod.DeepCopy()
	without.Spec.ResourceClaims = slices.DeleteFunc(without.Spec.ResourceClaims, has)
	return without
}

// justClaim is a pod that wants nothing but the claim.
func justClaim(namespace, claim string) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: claim}}
	pod.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "shared", ResourceClaimName: &claim}}
	return pod
}

// carry splits a carrier off each role that has one. It returns, for each role that
// is asked for by then, the pod that stands for it and the one that says what a
// member needs.
func (p *planning) carry(shapes []*v1.Pod, shared sets.Set[string], shares []share) (stand, need []*v1.Pod) {
	stand = slices.Clone(shapes)
	for _, pod := range shapes {
		need = append(need, withoutClaims(pod, shared))
	}
	for i := range shapes {
		var carried []string
		for _, one := range shares {
			if one.roles[0] == p.ask.Roles[i].Name {
				carried = append(carried, one.claim)
			}
		}
		if len(carried) == 0 {
			continue
		}
		loaded := withoutClaims(shapes[i], shared.Difference(sets.New(carried...)))
		if len(p.ask.Roles[i].Members) == 1 {
			need[i] = loaded
			continue
		}
		p.splitRole(i, carried)
		stand, need = append(stand, shapes[i]), append(need, loaded)
	}
	return stand, need
}

// splitRole makes a role of its own of the first member, which carries the claims.
func (p *planning) splitRole(i int, claims []string) {
	rest := &p.ask.Roles[i]
	carrier := *rest
	carrier.Name = rest.Name + " with resource claims " + strings.Join(claims, ", ")
	carrier.Members, rest.Members = rest.Members[:1:1], rest.Members[1:]
	carrier.Min = min(1, rest.Min)
	rest.Min -= carrier.Min
	carrier.Limit = map[string]int{}
	for node, most := range rest.Limit {
		if most == 0 {
			carrier.Limit[node] = 0
		}
	}
	if p.base == nil {
		p.base = map[string]string{}
	}
	p.base[carrier.Name] = rest.Name
	p.ask.Roles = append(p.ask.Roles, carrier)
}

// roleOf is the gang's name for a role that is asked for.
func (p *planning) roleOf(asked string) string {
	if base, ok := p.base[asked]; ok {
		return base
	}
	return asked
}

// confine has the planner put members that share a claim where its devices can be
// used: reach says where, for each share.
func (p *planning) confine(shares []share, reach func(i int) devices.Reach) {
	var knots []knot
	for i, one := range shares {
		switch where := reach(i); {
		case where.OneNode:
			knots = tie(knots, one)
		case p.spread.claim == "" && len(where.NodeSets) > 0 && !slices.ContainsFunc(where.NodeSets, devices.NodeSet.AllNodes):
			p.spread = spread{claim: one.claim, roles: sets.New(one.roles...), places: where.NodeSets}
		}
	}
	for _, one := range knots {
		if p.keepTogether(one) {
			p.together = append(p.together, one.claims...)
		}
	}
	slices.Sort(p.together)
}

// knot is roles that claims tie to one node.
type knot struct {
	claims []string
	roles  sets.Set[string]
}

// tie adds a share to the knots; those that have roles of it become one.
func tie(knots []knot, one share) []knot {
	tied := knot{claims: []string{one.claim}, roles: sets.New(one.roles...)}
	var apart []knot
	for _, other := range knots {
		if !other.roles.HasAny(one.roles...) {
			apart = append(apart, other)
			continue
		}
		tied.claims, tied.roles = append(tied.claims, other.claims...), tied.roles.Union(other.roles)
	}
	return append(apart, tied)
}

// keepTogether has the planner put the roles of a knot on one node: they are the
// whole gang, or become a group in the group that they have in common. It says
// false if they have none.
func (p *planning) keepTogether(one knot) bool {
	in := func(role *plan.Role) bool { return one.roles.Has(p.roleOf(role.Name)) }
	group, whole, several := "", true, false
	for i, found := 0, false; i < len(p.ask.Roles); i++ {
		role := &p.ask.Roles[i]
		if !in(role) {
			whole = false
			continue
		}
		several = several || found && role.Group != group
		group, found = role.Group, true
	}
	switch {
	case whole:
		p.ask.Required, p.ask.Preferred = plan.NodeLevel, ""
	case several:
		return false
	default:
		name := group + "/sharing " + strings.Join(one.claims, ", ")
		p.ask.Groups = append(p.ask.Groups, plan.Group{Name: name, Parent: group, Required: plan.NodeLevel})
		for i := range p.ask.Roles {
			if role := &p.ask.Roles[i]; in(role) {
				role.Group = name
			}
		}
	}
	p.makeRoom(one.roles)
	return true
}

// makeRoom has the other members of a role leave room on the node for the carrier,
// who stands there as well.
func (p *planning) makeRoom(roles sets.Set[string]) {
	for asked, base := range p.base {
		if !roles.Has(base) {
			continue
		}
		for i := range p.ask.Roles {
			role := &p.ask.Roles[i]
			if role.Name != base || role.Name == asked {
				continue
			}
			p.trials.roles[i].beside = 1
			role.Limit = maps.Clone(role.Limit)
			for node, most := range role.Limit {
				role.Limit[node] = max(0, most-1)
			}
		}
	}
}

// sharing ends a refusal with the claims that keep members on one node.
func (p *planning) sharing() string {
	if len(p.together) == 0 {
		return ""
	}
	return fmt.Sprintf("; members share resource claims %s, whose devices are one node's", strings.Join(p.together, ", "))
}
