// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// Some gangs have no declaring object: only their pods declare them. The functions
// podsGang and countedGang are for these.

// podsGang returns a gang without a declaring object, as old as its oldest pod.
func podsGang(key Key, members []Member) Gang {
	g := Gang{Key: key}
	for _, m := range members {
		if made := m.Pod.CreationTimestamp.Time; g.Created.IsZero() || made.Before(g.Created) {
			g.Created = made
		}
	}
	return g
}

// countedGang returns a gang whose pods carry the size of its quorum (the members that
// must start together) in an annotation. Pods with different values are an error
// (Gang.Problem): any choice between them would depend on the order in which the pods
// were created.
func countedGang(key Key, members []Member, annotation string) Gang {
	g := podsGang(key, members)
	g.MinField = "annotation " + annotation
	members = liveByName(g, members)
	if len(members) == 0 {
		return g
	}
	first := members[0].Pod
	text := first.Annotations[annotation]
	for _, m := range members {
		if other := m.Pod.Annotations[annotation]; other != text {
			g.Problem = fmt.Sprintf("pods of %s disagree in annotation %s: %q on pod %s, %q on pod %s",
				key, annotation, text, first.Name, other, m.Pod.Name)
			return g
		}
	}
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case text == "":
		g.Problem = fmt.Sprintf("pods of %s have no annotation %s, which says how many belong to it", key, annotation)
	case err != nil || n < 1:
		g.Problem = fmt.Sprintf("annotation %s of pod %s of %s is %q, but must be a number from 1", annotation, first.Name, key, text)
	default:
		g.Min = int(n)
		g.Roles = rolesByQuorum(g, members)
	}
	return g
}

// liveByName returns the live members of the gang (neither failed nor being deleted),
// sorted by pod name.
func liveByName(g Gang, members []Member) []Member {
	var live []Member
	for _, m := range members {
		if g.Has(m) && Live(m.Pod) {
			live = append(live, m)
		}
	}
	sortByName(live)
	return live
}

// youngestWith returns the youngest live member pod that has the annotation, or nil. Of
// equally old pods it returns the last by name.
func youngestWith(g Gang, members []Member, annotation string) *corev1.Pod {
	var youngest *corev1.Pod
	for _, m := range members {
		if _, ok := m.Pod.Annotations[annotation]; !ok || !g.Has(m) || !Live(m.Pod) {
			continue
		}
		if youngest == nil || younger(m.Pod, youngest) {
			youngest = m.Pod
		}
	}
	return youngest
}

func younger(a, b *corev1.Pod) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name)) > 0
}

// wantWhatIsThere raises the Want (the number of members requested) of each role (members
// with one task) to the number of its live members, for declarations that only have a
// minimum.
func wantWhatIsThere(g Gang, members []Member) {
	there := map[string]int{}
	for _, m := range members {
		if g.Has(m) && Live(m.Pod) {
			there[m.Role]++
		}
	}
	for i := range g.Roles {
		g.Roles[i].Want = max(g.Roles[i].Want, there[g.Roles[i].Name])
	}
}
