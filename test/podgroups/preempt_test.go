// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// priority gives the pods a PriorityClass, which it creates if it is missing.
func (e *env) priority(name string, value int32) func(*corev1.Pod) {
	e.Helper()
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}
	if _, err := e.Client.SchedulingV1().PriorityClasses().Create(context.Background(), class, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		e.Fatalf("creating PriorityClass %s: %v", name, err)
	}
	return func(pod *corev1.Pod) { pod.Spec.PriorityClassName = name }
}

func wholly(group *schedulingv1beta1.PodGroup) {
	group.Spec.DisruptionMode = &schedulingv1beta1.DisruptionMode{All: &schedulingv1beta1.AllDisruptionMode{}}
}

// ranked gives a PodGroup the PriorityClass that its pods have.
func ranked(class string) func(*schedulingv1beta1.PodGroup) {
	return func(group *schedulingv1beta1.PodGroup) { group.Spec.PriorityClassName = class }
}

// inLeaf restricts a pod to the nodes of one leaf.
func inLeaf(leaf string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.NodeSelector = map[string]string{fleet.LabelLeaf: leaf} }
}

// A PodGroup of high priority that needs a leaf gets one by evicting a group of low priority
// whole. With disruption mode single, a group loses only as many members as are needed.
func TestGroupEvictsGroups(t *testing.T) {
	e := newEnv(t)
	low, high := e.priority("low", 10), e.priority("high", 1000)
	spec, err := fleet.Parse("shape=plain,spines=2,leaves=2,nodes=5")
	if err != nil {
		t.Fatal(err)
	}
	var leaves []string
	for node := range spec.All() {
		if len(leaves) == 0 || leaves[len(leaves)-1] != node.Leaf() {
			leaves = append(leaves, node.Leaf())
		}
	}
	e.group("whole", 5, ranked("low"), wholly)
	e.members("whole", 0, 5, low, inLeaf(leaves[0]))
	e.group("loose", 3, ranked("low"))
	e.members("loose", 0, 5, low, inLeaf(leaves[1]))
	e.Whole(of("whole"), 5)
	e.Whole(of("loose"), 5)
	e.group("first", 2, ranked("high"))
	e.members("first", 0, 2, high, inLeaf(leaves[0]))
	e.Whole(of("first"), 2)
	if n := len(e.Pods(of("whole"))); n != 0 {
		t.Errorf("%d members of the group that is disrupted as a whole are left, want none", n)
	}
	e.group("second", 2, ranked("high"))
	e.members("second", 0, 2, high, inLeaf(leaves[1]))
	e.Whole(of("second"), 2)
	if n := e.Bound(of("loose")); n != 3 {
		t.Errorf("%d members of the group with a minimum of 3 are left, want 3", n)
	}
	e.Eventually("an event says for whom a member was evicted", func() bool {
		for _, event := range e.Events() {
			if strings.Contains(event, "evicted for gang schedulinggroup "+e.Namespace+"/second of priority 1000") {
				return true
			}
		}
		return false
	})
	if text := harness.Unschedulable(&e.Pods(of("second"))[0]); text != "" {
		t.Errorf("a member still says %q", text)
	}
}
