// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"strings"
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
	e.Eventually("the stock scheduler says that there is no room", func() bool {
		return e.condition("stock-b", metav1.ConditionFalse) != ""
	})
	if n := e.Bound(of("stock-a")) + e.Bound(of("stock-b")); n != 0 {
		t.Fatalf("the stock scheduler bound %d pods", n)
	}
	t.Logf("stock: 0 pods bound; %s", e.condition("stock-b", metav1.ConditionFalse))

	e.tree("ours", "dovetail")
	e.Whole(of("ours-b"), 3)
	e.UntilBound(of("ours-a"), 2)
	a, b := e.Domains(of("ours-a"), fleet.LabelLeaf), e.Domains(of("ours-b"), fleet.LabelLeaf)
	if len(a) != 1 || len(b) != 1 {
		t.Errorf("the gangs stand in %v and %v, want one leaf each", a, b)
	}
	if n := e.Bound(of("stock-a")) + e.Bound(of("stock-b")); n != 0 {
		t.Errorf("the stock scheduler bound %d pods", n)
	}
	t.Logf("dovetail: 5 pods bound, in leaves %v and %v", a, b)
}

// All pods of one group in a hierarchy may be lost while the other group runs whole. The
// group that has nothing to place must not count as refused.
func TestGroupOfAHierarchyIsPlacedAgain(t *testing.T) {
	e := newEnv(t)
	e.composite("all", "", 2)
	for _, name := range []string{"a", "b"} {
		e.group(name, 3, below("all"))
		e.members(name, 0, 3)
	}
	e.Whole(of("a"), 3)
	e.Whole(of("b"), 3)
	for _, lost := range []string{"b", "a"} {
		e.RemovePods(of(lost))
		e.Gone(of(lost))
		e.members(lost, 0, 3)
		e.Whole(of(lost), 3)
	}
}

// Hierarchies may be deeper: two halves, each in one spine, of two groups each, each in
// one leaf. One spine has two whole leaves and the other less, so that the halves have
// one place each; the half that comes first would take the other's.
func TestThreeLevels(t *testing.T) {
	e := newEnv(t)
	e.leaveRoom(3, 2, 5, 5)
	e.composite("all", "", 2)
	e.composite("few", "all", 2, levelWish("spine"))
	e.composite("many", "all", 2, levelWish("spine"))
	sizes := map[string]int{"few-a": 2, "few-b": 3, "many-a": 5, "many-b": 5}
	for _, name := range []string{"few-a", "few-b", "many-a", "many-b"} {
		half, _, _ := strings.Cut(name, "-")
		e.group(name, int32(sizes[name]), key(fleet.LabelLeaf), below(half))
	}
	for name, size := range sizes {
		if name != "many-b" {
			e.members(name, 0, size)
		}
	}
	e.members("many-b", 0, 4)
	e.Never("a hierarchy that lacks a member is bound", func() bool { return e.Bound("") > e.Bound("filler=yes") })
	e.members("many-b", 4, 5)
	for name, size := range sizes {
		e.Whole(of(name), size)
		if got := e.Domains(of(name), fleet.LabelLeaf); len(got) != 1 {
			t.Errorf("group %s stands in leaves %v, want one", name, got)
		}
	}
	few, many := e.Domains(ofAny("few-a", "few-b"), fleet.LabelSpine), e.Domains(ofAny("many-a", "many-b"), fleet.LabelSpine)
	if len(few) != 1 || len(many) != 1 {
		t.Errorf("the halves stand in spines %v and %v, want one each", few, many)
	}
}

// A hierarchy that is too large says so on each PodGroup, beginning with Dovetail's
// sentence, and holds nothing.
func TestHierarchyThatDoesNotFit(t *testing.T) {
	e := newEnv(t)
	e.composite("all", "", 2)
	e.group("a", perLeaf, key(fleet.LabelLeaf), below("all"))
	e.group("b", perLeaf+1, key(fleet.LabelLeaf), below("all"))
	e.members("a", 0, perLeaf)
	e.members("b", 0, perLeaf+1)
	e.refused("a", perLeaf, "gang compositepodgroup "+e.Namespace+"/all: ")
	e.refused("b", perLeaf+1, "gang compositepodgroup "+e.Namespace+"/all: ")
}

// A hierarchy of which one group is enough starts with that, and the other joins it.
func TestHierarchyOfOneGroupIsEnough(t *testing.T) {
	e := newEnv(t)
	e.leaveRoom(5, 2, 0, 0)
	e.composite("all", "", 1)
	e.group("a", 5, key(fleet.LabelLeaf), below("all"))
	e.group("b", 3, key(fleet.LabelLeaf), below("all"))
	e.members("a", 0, 5)
	e.members("b", 0, 3)
	e.Whole(of("a"), 5)
	if n := e.Bound(of("b")); n != 0 {
		t.Errorf("%d pods of a group are bound for which there is no room", n)
	}
	e.RemovePods("filler=yes")
	e.Whole(of("b"), 3)
}

// tree makes a CompositePodGroup of two PodGroups, which need both.
func (e *env) tree(name, scheduler string, change ...func(*corev1.Pod)) {
	e.Helper()
	e.treeOf(name, func(*schedulingv1beta1.PodGroup) {}, append(change, func(pod *corev1.Pod) { pod.Spec.SchedulerName = scheduler })...)
}

// treeOf is tree with a change to both PodGroups.
func (e *env) treeOf(name string, group func(*schedulingv1beta1.PodGroup), change ...func(*corev1.Pod)) {
	e.Helper()
	e.composite(name, "", 2)
	e.group(name+"-a", 2, key(fleet.LabelLeaf), below(name), group)
	e.group(name+"-b", 3, key(fleet.LabelLeaf), below(name), group)
	e.members(name+"-a", 0, 3, change...)
	e.members(name+"-b", 0, 3, change...)
}

// composite makes a CompositePodGroup below another, "" for none.
func (e *env) composite(name, parent string, least int32, change ...func(*schedulingv1alpha3.CompositePodGroup)) {
	e.Helper()
	composite := &schedulingv1alpha3.CompositePodGroup{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: schedulingv1alpha3.CompositePodGroupSpec{
			WorkloadRef:      &schedulingv1alpha3.WorkloadReference{WorkloadName: "workload", TemplateName: name},
			SchedulingPolicy: schedulingv1alpha3.CompositePodGroupSchedulingPolicy{Gang: &schedulingv1alpha3.CompositeGangSchedulingPolicy{MinGroupCount: least}},
		},
	}
	if parent != "" {
		composite.Spec.ParentCompositePodGroupName = &parent
	}
	for _, edit := range change {
		edit(composite)
	}
	if _, err := e.Client.SchedulingV1alpha3().CompositePodGroups(e.Namespace).Create(e.Context(), composite, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating CompositePodGroup %s: %v", name, err)
	}
}

// levelWish asks for one domain of a level by annotation.
func levelWish(level string) func(*schedulingv1alpha3.CompositePodGroup) {
	return func(c *schedulingv1alpha3.CompositePodGroup) {
		c.Annotations = map[string]string{"dovetail.dev/topology-required": level}
	}
}

func below(parent string) func(*schedulingv1beta1.PodGroup) {
	return func(group *schedulingv1beta1.PodGroup) {
		group.Spec.ParentCompositePodGroupName = &parent
		group.Spec.WorkloadRef = &schedulingv1beta1.WorkloadReference{WorkloadName: "workload", TemplateName: group.Name}
	}
}

// leaveRoom fills the nodes of the leaves, but for so many in each.
func (e *env) leaveRoom(free ...int) {
	e.Helper()
	list, err := e.Client.CoreV1().Nodes().List(e.Context(), metav1.ListOptions{})
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
		filler := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "filler-" + node.Name, Labels: map[string]string{"filler": "yes"}}, Spec: podSpec()}
		filler.Spec.NodeName = node.Name
		if _, err := e.Client.CoreV1().Pods(e.Namespace).Create(e.Context(), filler, metav1.CreateOptions{}); err != nil {
			e.Fatalf("filling node %s: %v", node.Name, err)
		}
	}
}
