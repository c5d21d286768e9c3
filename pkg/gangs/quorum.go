// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// rolesByQuorum returns a role for every role name among the live members (neither failed
// nor being deleted). The declaration does not say which members are the quorum (those
// that must start together), so this function chooses them in a fixed order: first placed
// members, then members that could be placed now, then by rank, age and name.
func rolesByQuorum(g Gang, members []Member) []Role {
	var roles []Role
	for i, m := range quorumOrder(g, members) {
		at, found := slices.BinarySearchFunc(roles, m.Role, func(r Role, name string) int {
			return cmp.Compare(r.Name, name)
		})
		if !found {
			roles = slices.Insert(roles, at, Role{Name: m.Role})
		}
		roles[at].Want++
		if i < g.Min {
			roles[at].Min++
		}
	}
	return roles
}

// isDone reports that the member has succeeded.
func isDone(m Member) bool { return m.Pod.Status.Phase == corev1.PodSucceeded }

// countDone counts the live members of the gang that have succeeded.
func countDone(g Gang, members []Member) int {
	done := 0
	for _, m := range members {
		if isDone(m) && g.Has(m) && Live(m.Pod) {
			done++
		}
	}
	return done
}

// addDone adds the number of succeeded members to the minimum of a role. Callers use it
// if that minimum counts only members that have not succeeded. Check, which says whether
// enough members exist, counts succeeded members like running ones; without the addition
// they would take the place of members that the quorum still needs.
func addDone(g Gang, role string, done int) {
	for i := range g.Roles {
		if r := &g.Roles[i]; r.Name == role && r.Min > 0 {
			r.Min += done
			r.Want = max(r.Want, r.Min)
		}
	}
}

// quorumOrder returns the live members of the gang, with those of the quorum first.
func quorumOrder(g Gang, members []Member) []Member {
	var live []Member
	for _, m := range members {
		if g.Has(m) && Live(m.Pod) {
			live = append(live, m)
		}
	}
	slices.SortFunc(live, byQuorumOrder)
	return live
}

func byQuorumOrder(a, b Member) int {
	return cmp.Or(
		-compareBool(Placed(a.Pod), Placed(b.Pod)),
		-compareBool(Ready(a.Pod), Ready(b.Pod)),
		compareRank(a.Rank, b.Rank),
		a.Pod.CreationTimestamp.Compare(b.Pod.CreationTimestamp.Time),
		cmp.Compare(a.Pod.Name, b.Pod.Name),
	)
}

// compareRank puts pods without a rank behind those with one.
func compareRank(a, b Rank) int {
	return cmp.Or(-compareBool(a.Known, b.Known), cmp.Compare(a.Index, b.Index))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
