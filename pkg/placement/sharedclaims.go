// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/resourceclaim"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A ResourceClaim that several members share, and that has no devices yet, is allocated
// once: the first member gets devices for all. The planner therefore adds the claim to the
// need (resources and devices) of one member, the claim owner. It keeps the other members on
// nodes that can use the devices. If only some members of a role share a claim, the stock
// filters handle it: they see where its devices are after the first member has reserved
// them.

// sharedClaim is a claim that all members of some roles share. No member of these roles has
// a node yet.
type sharedClaim struct {
	name string
	// roles has the names of these roles, in the order of the planner's roles. The first
	// role has the claim owner, whose need includes the claim's devices.
	roles []string
}

// claimUsers counts the members of a gang without a node by the resource claims that they
// have.
type claimUsers struct {
	// byRole has the number of users by claim and role, total by claim.
	byRole map[string]map[string]int
	total  map[string]int
	// waiting has, by role, the number of members without a node. placed has the roles
	// with a member that already has a node.
	waiting map[string]int
	placed  sets.Set[string]
}

func countClaimUsers(request *gangs.Request) claimUsers {
	users := claimUsers{byRole: map[string]map[string]int{}, total: map[string]int{}, waiting: map[string]int{}, placed: sets.New[string]()}
	for _, m := range request.Members {
		if request.Placed[m.Pod.UID] != "" {
			users.placed.Insert(m.Role)
			continue
		}
		users.waiting[m.Role]++
		for _, claim := range sharableClaims(m.Pod) {
			if users.byRole[claim] == nil {
				users.byRole[claim] = map[string]int{}
			}
			users.byRole[claim][m.Role]++
			users.total[claim]++
		}
	}
	return users
}

// wholeRoles returns the roles with members that have the claim. whole is false if some
// members of one of these roles do not have the claim or already have a node.
func (u *claimUsers) wholeRoles(claim string, roles []roleInput) (names []string, whole bool) {
	whole = true
	for i := range roles {
		name := roles[i].Name
		if n := u.byRole[claim][name]; n > 0 {
			names = append(names, name)
			whole = whole && n == u.waiting[name] && !u.placed.Has(name)
		}
	}
	return names, whole
}

// findSharedClaims returns the names of all claims without devices that several members
// without a node have (shared), and those of them that all members of some roles share,
// sorted by name (byRoles).
func findSharedClaims(request *gangs.Request, roles []roleInput, cache *cluster.Cache) (shared sets.Set[string], byRoles []sharedClaim) {
	users := countClaimUsers(request)
	maps.DeleteFunc(users.total, func(claim string, n int) bool {
		return n < 2 || !cache.Unallocated(request.Gang.Key.Namespace, claim)
	})
	for _, claim := range slices.Sorted(maps.Keys(users.total)) {
		if names, whole := users.wholeRoles(claim, roles); whole {
			byRoles = append(byRoles, sharedClaim{name: claim, roles: names})
		}
	}
	return sets.KeySet(users.total), byRoles
}

// sharableClaims returns the names of the pod's resource claims that other pods may have
// as well: claims that the pod names. A member of a PodGroup may also share claims made
// from a template, since they can belong to the PodGroup.
func sharableClaims(pod *v1.Pod) []string {
	var names []string
	for i := range pod.Spec.ResourceClaims {
		if name := sharableName(pod, &pod.Spec.ResourceClaims[i]); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func sharableName(pod *v1.Pod, claim *v1.PodResourceClaim) string {
	if claim.ResourceClaimName == nil && !gangs.InPodGroup(pod) {
		return ""
	}
	name, _, err := resourceclaim.Name(pod, claim)
	if err != nil || name == nil {
		return "" // the claim does not exist yet, or the pod needs none
	}
	return *name
}

// withoutClaims returns a copy of the pod without these claims, or the pod itself if it has
// none of them.
func withoutClaims(pod *v1.Pod, claims sets.Set[string]) *v1.Pod {
	has := func(claim v1.PodResourceClaim) bool { return claims.Has(sharableName(pod, &claim)) }
	if claims.Len() == 0 || !slices.ContainsFunc(pod.Spec.ResourceClaims, has) {
		return pod
	}
	without := pod.DeepCopy()
	without.Spec.ResourceClaims = slices.DeleteFunc(without.Spec.ResourceClaims, has)
	return without
}

// podWithClaim returns a pod that needs only this claim, to read the claim's need.
func podWithClaim(namespace, claim string) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: claim}}
	pod.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "shared", ResourceClaimName: &claim}}
	return pod
}
