// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podGroupMembers(group string, n int) []Member {
	var members []Member
	for i := range n {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: fmt.Sprintf("%s-%d", group, i)}}
		pod.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &group}
		m := PodGroupMember(pod)
		m.Role = "pods"
		members = append(members, m)
	}
	return members
}

func gangPodGroup(name string, least int32) *schedulingv1beta1.PodGroup {
	group := &schedulingv1beta1.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name}}
	if least > 0 {
		group.Spec.SchedulingPolicy.Gang = &schedulingv1beta1.GangSchedulingPolicy{MinCount: least}
	}
	return group
}

func TestPodGroupGang(t *testing.T) {
	group := gangPodGroup("train", 2)
	group.Annotations = map[string]string{PreferredAnnotation: "leaf"}
	group.Spec.SchedulingConstraints = &schedulingv1beta1.PodGroupSchedulingConstraints{
		Topology: []schedulingv1beta1.TopologyConstraint{{Key: "example.com/rack"}},
	}
	g := PodGroupGang(group, podGroupMembers("train", 3))
	if diff := cmp.Diff([]Role{{Name: "pods", Min: 2, Want: 3}}, g.Roles); diff != "" {
		t.Errorf("roles (-want,+got):\n%s", diff)
	}
	if diff := cmp.Diff(Topology{RequiredLabel: "example.com/rack", Preferred: "leaf"}, g.Topology); diff != "" {
		t.Errorf("topology (-want,+got):\n%s", diff)
	}
	if basic := PodGroupGang(gangPodGroup("web", 0), podGroupMembers("web", 3)); basic.Min != 1 || basic.MinField != "" {
		t.Errorf("a basic group has minimum %d by %q, want 1 by no field", basic.Min, basic.MinField)
	}
}

// A hierarchy contains only groups with enough members: AddGroup omits a PodGroup below its
// minimum, and Settle removes a group of groups that is empty.
func TestHierarchyOfPodGroups(t *testing.T) {
	composite := func(name string, least int32) *schedulingv1alpha3.CompositePodGroup {
		c := &schedulingv1alpha3.CompositePodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name}}
		c.Spec.SchedulingPolicy.Gang = &schedulingv1alpha3.CompositeGangSchedulingPolicy{MinGroupCount: least}
		return c
	}
	g := CompositeGang(composite("top", 2))
	inner, hollow := g.AddComposite("", composite("inner", 2)), g.AddComposite("", composite("hollow", 1))
	add := func(parent, name string, least int32, n int) int {
		members := podGroupMembers(name, n)
		return len(g.AddGroup(parent, PodGroupGang(gangPodGroup(name, least), members), members))
	}
	if n := add(inner, "a", 2, 3); n != 3 {
		t.Errorf("%d members of a have a part in it, want 3", n)
	}
	if n := add(hollow, "b", 2, 1); n != 0 {
		t.Errorf("%d members of b have a part in it, want none", n)
	}
	g.Settle()
	want := []Group{
		{Name: "composite inner", MinGroups: 1},
		{Name: "a", Parent: "composite inner", Min: 2},
	}
	if diff := cmp.Diff(want, g.Groups); diff != "" {
		t.Errorf("groups (-want,+got):\n%s", diff)
	}
	if diff := cmp.Diff([]Role{{Name: "a/pods", Group: "a", Min: 2, Want: 3}}, g.Roles); diff != "" {
		t.Errorf("roles (-want,+got):\n%s", diff)
	}
	if g.MinGroups != 1 {
		t.Errorf("the hierarchy needs %d groups, want the one that there is", g.MinGroups)
	}
}

// A pod that names a PodGroup of scheduling.k8s.io is in no gang, even with labels of
// another source.
func TestPodGroupCycleSourceComesFirst(t *testing.T) {
	pod := podGroupMembers("train", 1)[0].Pod
	pod.Labels = map[string]string{"dovetail.dev/gang-name": "other"}
	if key, ok := (Sources{NewPodGroupCycleSource(), NewLabelSource()}).Key(pod); ok {
		t.Errorf("the pod is in %s, want none", key)
	}
	pod.Spec.SchedulingGroup = nil
	if _, ok := (Sources{NewPodGroupCycleSource(), NewLabelSource()}).Key(pod); !ok {
		t.Error("without its PodGroup the pod is in no gang, want that of its label")
	}
}

// A hierarchy is quorate if as many groups as it needs have their own quorum. A single
// group is quorate with its minimum.
func TestQuorate(t *testing.T) {
	alone := PodGroupGang(gangPodGroup("train", 2), podGroupMembers("train", 3))
	tree := CompositeGang(&schedulingv1alpha3.CompositePodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "top"},
		Spec: schedulingv1alpha3.CompositePodGroupSpec{SchedulingPolicy: schedulingv1alpha3.CompositePodGroupSchedulingPolicy{
			Gang: &schedulingv1alpha3.CompositeGangSchedulingPolicy{MinGroupCount: 2},
		}}})
	pods := map[string][]*corev1.Pod{}
	for _, name := range []string{"a", "b", "c"} {
		members := podGroupMembers(name, 2)
		for _, m := range members {
			pods[name] = append(pods[name], m.Pod)
		}
		for i := range members {
			members[i] = PodGroupMember(members[i].Pod)
		}
		tree.AddGroup("", PodGroupGang(gangPodGroup(name, 2), members), members)
	}
	tree.Settle()
	of := func(g Gang, pods ...*corev1.Pod) (members []Member) {
		for _, pod := range pods {
			if m, ok := g.Joined(pod); ok {
				members = append(members, m)
			}
		}
		return members
	}
	everybody := func(Member) bool { return true }
	for name, test := range map[string]struct {
		gang    Gang
		members []Member
		want    bool
	}{
		"a minimum":               {alone, podGroupMembers("train", 2), true},
		"less than that":          {alone, podGroupMembers("train", 1), false},
		"two groups of three":     {tree, of(tree, pods["a"][0], pods["a"][1], pods["c"][0], pods["c"][1]), true},
		"one and a half":          {tree, of(tree, pods["a"][0], pods["a"][1], pods["b"][0]), false},
		"three halves":            {tree, of(tree, pods["a"][0], pods["b"][0], pods["c"][0]), false},
		"pods of somebody else's": {tree, of(tree, podGroupMembers("d", 1)[0].Pod), false},
	} {
		if got := test.gang.Quorate(test.members, everybody); got != test.want {
			t.Errorf("%s: quorate is %v", name, got)
		}
	}
}
