// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Readiness is the result of Check. At most one of Problem and Waiting is set; a gang with
// neither can be planned.
type Readiness struct {
	// Problem is one sentence about a condition that does not resolve by itself.
	Problem string
	// Waiting is one sentence about members that do not exist or are not ready to be
	// scheduled.
	Waiting string
	// Exist, Ready and Placed count members of the quorum (the Gang.Min members that must
	// start together): the live ones (neither failed nor being deleted), those that are
	// placed or ready to be scheduled, and those that are placed.
	Exist, Ready, Placed int
}

// Complete reports that the quorum exists and is ready, and that there is no problem.
func (v Readiness) Complete() bool {
	return v.Problem == "" && v.Waiting == ""
}

// Check returns whether enough of a gang's members exist and are ready for the gang to be
// planned, and if not, why.
func Check(g Gang, members []Member) Readiness {
	live := make([]Member, 0, len(members))
	for _, m := range members {
		if g.Has(m) && Live(m.Pod) {
			live = append(live, m)
		}
	}

	t := count(g, live)
	v := Readiness{Exist: t.exist, Ready: t.ready, Placed: t.placed}
	v.Problem = cmp.Or(
		g.Problem,
		unlike(g, live, "spec.schedulerName", func(pod *corev1.Pod) string { return pod.Spec.SchedulerName }),
		unlike(g, live, "spec.priority", priority),
	)
	if v.Problem == "" {
		v.Waiting = waiting(g, live, t)
		if t.exist < g.Min {
			v.Waiting += Terminating(g, members)
		}
	}
	return v
}

func priority(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

// unlike returns a sentence if two live members differ in a field that must be the same in
// all, or "". All members need one scheduler, and one priority, because preemption must
// evict all of the gang or nothing. Of the pods sorted by name, the sentence names the first
// one and the first that differs from it.
func unlike[T comparable](g Gang, live []Member, field string, of func(*corev1.Pod) T) string {
	differs := func(m Member) bool { return of(m.Pod) != of(live[0].Pod) }
	if !slices.ContainsFunc(live, differs) {
		return ""
	}
	sortByName(live)
	a := live[0].Pod
	b := live[slices.IndexFunc(live, differs)].Pod
	return fmt.Sprintf("members of %s differ in %s, which must be the same in all: %v in pod %s, %v in pod %s",
		g.Key, field, of(a), a.Name, of(b), b.Name)
}

// sortByName sorts members for sentences that give an example. Nothing else may depend on
// the order of members.
func sortByName(members []Member) {
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Pod.Name, b.Pod.Name) })
}

// tally counts the live members of each role, and of the quorum.
type tally struct {
	byRole               []roleTally // indexed like Gang.Roles
	exist, ready, placed int         // of the quorum: never more than Gang.Min
}

type roleTally struct {
	exist, ready, placed int
}

func count(g Gang, live []Member) tally {
	t := tally{byRole: make([]roleTally, len(g.Roles))}
	for _, m := range live {
		at := slices.IndexFunc(g.Roles, func(r Role) bool { return r.Name == m.Role })
		if at < 0 {
			continue
		}
		r := &t.byRole[at]
		r.exist++
		if Placed(m.Pod) {
			r.placed++
			r.ready++
		} else if m.Ready() {
			r.ready++
		}
	}
	for i, r := range t.byRole {
		t.exist += min(r.exist, g.Roles[i].Min)
		t.ready += min(r.ready, g.Roles[i].Min)
		t.placed += min(r.placed, g.Roles[i].Min)
	}
	return t
}

func waiting(g Gang, live []Member, t tally) string {
	switch {
	case t.exist < g.Min:
		return fmt.Sprintf("waiting for %d of %d members of %s: %s%s", g.Min-t.exist, g.Min, g.Key, missing(g, t), createdInOrder(live))
	case t.ready < g.Min:
		return fmt.Sprintf("waiting for %d of %d members of %s: %s", g.Min-t.ready, g.Min, g.Key, unready(g, live, t))
	default:
		return ""
	}
}

// missing names the roles (members with one task) that lack pods. If the roles are only
// known from the pods, it names the field that sets the gang's minimum instead.
func missing(g Gang, t tally) string {
	if g.MinField != "" {
		return fmt.Sprintf("%s is %d, and %d exist so far", g.MinField, g.Min, t.exist)
	}
	var parts []string
	for i, r := range g.Roles {
		if n := r.Min - t.byRole[i].exist; n > 0 {
			parts = append(parts, fmt.Sprintf("%d of role %s", n, r.Name))
		}
	}
	return strings.Join(parts, ", ") + " do not exist yet"
}

// createdInOrder explains why missing members may never exist if an unplaced member belongs
// to a StatefulSet: by default this creates each pod only once all earlier pods are Ready.
// It returns "" if several pods of the StatefulSet wait for nodes, because then they are not
// created in order.
func createdInOrder(live []Member) string {
	set := ""
	for _, m := range live {
		ref := metav1.GetControllerOfNoCopy(m.Pod)
		if Placed(m.Pod) || ref == nil || ref.Kind != "StatefulSet" {
			continue
		}
		if set == ref.Name {
			return ""
		}
		set = ref.Name
	}
	if set == "" {
		return ""
	}
	return fmt.Sprintf("; StatefulSet %s creates one pod after the other unless its spec.podManagementPolicy is Parallel", set)
}

// unready names, of the pods that are not ready to be scheduled, the first in the order of
// names with its reason, and counts the others. It considers only roles with fewer ready
// members than their minimum.
func unready(g Gang, live []Member, t tally) string {
	sortByName(live)
	first, more := "", -1
	for _, m := range live {
		at := slices.IndexFunc(g.Roles, func(r Role) bool { return r.Name == m.Role })
		if at < 0 || Placed(m.Pod) || t.byRole[at].ready >= g.Roles[at].Min {
			continue
		}
		if why := cmp.Or(NotReady(m.Pod), m.Lacks); why != "" {
			more++
			first = cmp.Or(first, "pod "+m.Pod.Name+" "+why)
		}
	}
	if more > 0 {
		first += fmt.Sprintf(", and %d more are not ready", more)
	}
	return first
}
