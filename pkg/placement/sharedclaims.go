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

// A claim without devices that several members share is allocated once: the first member
// gets devices for all. The planner therefore adds the claim to the needs of one member,
// the claim owner. It confines the other members to nodes that can use the devices. The
// stock filters handle a claim that only some members of a role share: they see the
// devices' location after the first member has reserved them.

// sharedClaim is a claim that all waiting members of some roles share.
type sharedClaim struct {
	name string
	// roles are in the order of the planner's roles. The first role has the claim owner.
	roles []string
}

// claimUsers counts the waiting members of a gang by their claims.
type claimUsers struct {
	// byRole counts users by claim and role, total by claim.
	byRole map[string]map[string]int
	total  map[string]int
	// waiting counts the members of each role without a node. placed has the roles with a
	// member that already has a node.
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

// wholeRoles returns the roles that have the claim. whole is false if some members of one
// of them do not have it.
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

// findSharedClaims returns the names of all unallocated claims that several waiting members
// have (shared), and those of them that whole roles share, sorted by name (byRoles).
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

// sharableClaims returns the claims of the pod that other pods may also have: claims that
// the pod names, and for a member of a PodGroup also claims made from a template, since
// they can belong to the PodGroup.
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
		return "" // the claim does not exist, or not yet
	}
	return *name
}

// withoutClaims returns a copy of the pod without these claims.
func withoutClaims(pod *v1.Pod, claims sets.Set[string]) *v1.Pod {
	has := func(claim v1.PodResourceClaim) bool { return claims.Has(sharableName(pod, &claim)) }
	if claims.Len() == 0 || !slices.ContainsFunc(pod.Spec.ResourceClaims, has) {
		return pod
	}
	without := pod.DeepCopy()
	without.Spec.ResourceClaims = slices.DeleteFunc(without.Spec.ResourceClaims, has)
	return without
}

// podWithClaim returns a pod that needs only the claim.
func podWithClaim(namespace, claim string) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: claim}}
	pod.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "shared", ResourceClaimName: &claim}}
	return pod
}
