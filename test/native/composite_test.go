// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// Two gangs in one, each in one leaf, of which one leaf has room for three pods and
// another for two. The first asks for two or better three, the second for three. The
// stock scheduler gives the first the larger leaf, has no room for the second, and
// does not go back; Dovetail gives each its own.
func TestSecondChildUndoesFirstChoice(t *testing.T) {
	e := newEnv(t)
	e.leaveRoom(3, 2, 0, 0)
	e.tree("stock", corev1.DefaultSchedulerName)
	e.eventually("the stock scheduler says that there is no room", func() bool {
		return e.condition("stock-b", metav1.ConditionFalse) != ""
	})
	if n := e.bound(of("stock-a")) + e.bound(of("stock-b")); n != 0 {
		t.Fatalf("the stock scheduler bound %d pods", n)
	}
	t.Logf("stock: 0 pods bound; %s", e.condition("stock-b", metav1.ConditionFalse))

	e.tree("ours", "dovetail")
	e.whole(of("ours-b"), 3)
	e.whole(of("ours-a"), 2)
	a, b := e.domains(of("ours-a"), fleet.LabelLeaf), e.domains(of("ours-b"), fleet.LabelLeaf)
	if len(a) != 1 || len(b) != 1 {
		t.Errorf("the gangs stand in %v and %v, want one leaf each", a, b)
	}
	if n := e.bound(of("stock-a")) + e.bound(of("stock-b")); n != 0 {
		t.Errorf("the stock scheduler bound %d pods", n)
	}
	t.Logf("dovetail: 5 pods bound, in leaves %v and %v", a, b)
}

// tree makes a CompositePodGroup of two PodGroups, which need both.
func (e *env) tree(name, scheduler string, change ...func(*corev1.Pod)) {
	e.Helper()
	e.treeOf(name, func(*schedulingv1beta1.PodGroup) {}, append(change, func(pod *corev1.Pod) { pod.Spec.SchedulerName = scheduler })...)
}

// treeOf is tree with a change to both PodGroups.
func (e *env) treeOf(name string, group func(*schedulingv1beta1.PodGroup), change ...func(*corev1.Pod)) {
	e.Helper()
	composite := &schedulingv1alpha3.CompositePodGroup{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: schedulingv1alpha3.CompositePodGroupSpec{
			WorkloadRef:      &schedulingv1alpha3.WorkloadReference{WorkloadName: name, TemplateName: name},
			SchedulingPolicy: schedulingv1alpha3.CompositePodGroupSchedulingPolicy{Gang: &schedulingv1alpha3.CompositeGangSchedulingPolicy{MinGroupCount: 2}},
		},
	}
	if _, err := e.client.SchedulingV1alpha3().CompositePodGroups(e.ns).Create(e.Context(), composite, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating CompositePodGroup %s: %v", name, err)
	}
	below := func(group *schedulingv1beta1.PodGroup) {
		group.Spec.ParentCompositePodGroupName = &name
		group.Spec.WorkloadRef = &schedulingv1beta1.WorkloadReference{WorkloadName: name, TemplateName: group.Name}
	}
	e.group(name+"-a", 2, key(fleet.LabelLeaf), below, group)
	e.group(name+"-b", 3, key(fleet.LabelLeaf), below, group)
	e.members(name+"-a", 0, 3, change...)
	e.members(name+"-b", 0, 3, change...)
}

// leaveRoom fills the nodes of the leaves, but for so many in each.
func (e *env) leaveRoom(free ...int) {
	e.Helper()
	list, err := e.client.CoreV1().Nodes().List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatal(err)
	}
	leaves := map[string]int{}
	for _, node := range list.Items {
		leaf := node.Labels[fleet.LabelSpine] + "/" + node.Labels[fleet.LabelLeaf]
		if _, known := leaves[leaf]; !known {
			leaves[leaf] = free[len(leaves)]
		}
		if leaves[leaf]--; leaves[leaf] >= 0 {
			continue
		}
		filler := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("filler-%s", node.Name)}, Spec: podSpec()}
		filler.Spec.NodeName = node.Name
		if _, err := e.client.CoreV1().Pods(e.ns).Create(e.Context(), filler, metav1.CreateOptions{}); err != nil {
			e.Fatalf("filling node %s: %v", node.Name, err)
		}
	}
}
