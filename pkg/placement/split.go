// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// A role of a gang has the members that its controller makes from one template. Members
// may still differ: a controller adds a node selector to each, or each has a volume of
// its own. The planner treats the members of a role alike, so a role with different
// members becomes several roles of the planner, its parts.

// signed returns the request with Member.Signature set for all members. Members that ask
// the same of their node get equal signatures.
func signed(request *gangs.Request) *gangs.Request {
	if !slices.ContainsFunc(request.Members, func(m gangs.Member) bool { return m.Signature == 0 }) {
		return request
	}
	with := *request
	with.Members = slices.Clone(request.Members)
	for i := range with.Members {
		if m := &with.Members[i]; m.Signature == 0 {
			m.Signature = gangs.SignatureOf(m.Pod)
		}
	}
	return &with
}

// splitter splits each role of one gang whose members differ into several roles of the
// planner.
type splitter struct {
	request *gangs.Request
	cache   *cluster.Cache
	volumes *volumeReader
	terms   *podTerms
	running *runningTerms
	// gang gets the groups that hold the parts of a role. roleOfGroup has, by name of
	// such a group with a minimum, the gang's name of the role.
	gang        *plan.Gang
	roleOfGroup map[string]string
}

// splitRoles returns the roles, with each role whose members differ split into several, its
// parts. A role is not split if its members share claims (these are planned for the role as
// a whole) or if the role's group requires a number of complete groups (gangs inside the
// gang): the new group that holds the parts would count as one of these.
func (s *splitter) splitRoles(roles []roleInput, shared sets.Set[string]) []roleInput {
	var split []roleInput
	for i := range roles {
		role := &roles[i]
		parts := s.partsOf(role)
		if len(parts) > 1 && (usesAny(role.members, shared) || s.countsGroups(role.Group)) {
			parts = []roleInput{*role}
		}
		for j := range parts {
			part := &parts[j]
			part.sample = sampleOf(s.request, part.members)
			part.needs = part.sample
			part.Limit = limitsOf(s.request, part.base, part.members, "")
		}
		if len(parts) > 1 {
			s.groupParts(role, parts)
		}
		split = append(split, parts...)
	}
	return split
}

// partsOf returns the parts of a role: the members that do not differ for the planner are
// a part. Parts are in the order of their first members.
func (s *splitter) partsOf(role *roleInput) []roleInput {
	var parts []roleInput
	index := map[partKey]int{}
	for i, m := range role.members {
		key := partKey{
			signature: m.Signature, volumes: s.volumes.of(m.Pod).key, claims: s.namedClaims(m.Pod),
			held: s.terms.heldBy(&m), terms: s.terms.matching(m.Pod),
			running: s.running.matching(m.Pod),
		}
		at, known := index[key]
		if !known {
			at = len(parts)
			index[key] = at
			part := *role
			part.key, part.members, part.Members = key, nil, nil
			parts = append(parts, part)
		}
		parts[at].members = append(parts[at].members, m)
		parts[at].Members = append(parts[at].Members, role.Members[i])
	}
	return parts
}

// namedClaims returns a text that is equal for pods whose named resource claims ask for
// the same.
func (s *splitter) namedClaims(pod *v1.Pod) string {
	key := ""
	for i := range pod.Spec.ResourceClaims {
		if name := pod.Spec.ResourceClaims[i].ResourceClaimName; name != nil {
			key += s.cache.ClaimKey(pod.Namespace, *name) + ";"
		}
	}
	return key
}

// countsGroups reports whether a group, or the gang for the empty name, requires a number of
// complete groups in it. A new group in it would then count as one of these.
func (s *splitter) countsGroups(group string) bool {
	if group == "" {
		return s.gang.MinGroups > 0
	}
	return slices.ContainsFunc(s.gang.Groups, func(g plan.Group) bool { return g.Name == group && g.MinGroups > 0 })
}

// groupParts names the parts of a role and makes all of them together meet the role's
// minimum and constraints. If this needs a group around the parts, it adds one. For a role
// without a minimum it adds none, so each part meets the constraints by itself.
func (s *splitter) groupParts(role *roleInput, parts []roleInput) {
	for i := range parts {
		first := slices.MinFunc(parts[i].members, func(a, b gangs.Member) int { return cmp.Compare(a.Pod.Name, b.Pod.Name) })
		parts[i].Name = role.Name + " like " + first.Pod.Name
	}
	all := role.Min == len(role.Members)
	for i := range parts {
		parts[i].Min = 0
		if all {
			parts[i].Min = len(parts[i].Members)
		}
	}
	if role.Min == 0 || all && role.Required == "" && role.Preferred == "" {
		return
	}
	group := plan.Group{Name: role.Name + " (all kinds)", Parent: role.Group, Required: role.Required, Preferred: role.Preferred}
	if !all {
		group.Min = role.Min
		s.roleOfGroup[group.Name] = role.base
	}
	s.gang.Groups = append(s.gang.Groups, group)
	for i := range parts {
		parts[i].Group, parts[i].Required, parts[i].Preferred = group.Name, "", ""
	}
}

// usesAny reports whether one of the members has one of the resource claims.
func usesAny(members []gangs.Member, claims sets.Set[string]) bool {
	return claims.Len() > 0 && slices.ContainsFunc(members, func(m gangs.Member) bool { return claims.HasAny(sharableClaims(m.Pod)...) })
}

// limitsOf returns, by node, the most members that the node takes: Request.Limits, known
// from earlier refusals, for members of a role with these subrequests (alternatives,
// firstAvailable, that the plan chose). If limits of several members differ, the lowest
// holds.
func limitsOf(request *gangs.Request, role string, members []gangs.Member, chosen gangs.Subrequests) map[string]int {
	if len(request.Limits) == 0 {
		return nil
	}
	var limits map[string]int
	signatures := sets.New[gangs.Signature]()
	for _, m := range members {
		if signatures.Has(m.Signature) {
			continue
		}
		signatures.Insert(m.Signature)
		for node, most := range request.Limits[gangs.RoleSignature{Role: role, Signature: m.Signature, Subrequests: chosen}] {
			if limits == nil {
				limits = map[string]int{}
			}
			if known, ok := limits[node]; !ok || most < known {
				limits[node] = most
			}
		}
	}
	return limits
}
