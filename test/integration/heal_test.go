// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// withGangArgs returns the shipped configuration with additional lines in Gang's arguments.
func withGangArgs(t *testing.T, lines ...string) []byte {
	t.Helper()
	const before = "  - name: Gang\n    args:\n"
	shipped := string(manifests.SchedulerConfig)
	if !strings.Contains(shipped, before) {
		t.Fatal("the shipped configuration has no arguments of Gang where this test expects them")
	}
	more := before
	for _, line := range lines {
		more += "      " + line + "\n"
	}
	return []byte(strings.Replace(shipped, before, more, 1))
}

// A gang whose leaf lost a node must move completely to another leaf once healAfter has
// passed, but not without the right to evict, nor against a PodDisruptionBudget.
func TestGangThatLostANodeMoves(t *testing.T) {
	e := onOwn(t, localcluster.Options{
		Fleets:         []fleet.Spec{fleet.Default()},
		DovetailConfig: withGangArgs(t, "healAfter: 3s"),
		Without:        []string{localcluster.Scheduler},
	})
	if err := e.Client.RbacV1().ClusterRoleBindings().Delete(t.Context(), "dovetail-evictions", metav1.DeleteOptions{}); err != nil {
		t.Fatalf("taking away the right to evict: %v", err)
	}
	e.claimTemplate()
	e.rayCluster(newRayCluster("train", 4, annotated(levelRequired, "leaf")))
	e.Whole("ray.io/cluster=train", 5)
	leaf := e.leafOf("ray.io/group=workers")
	e.budget("keep", 4)
	lost := e.Pods("ray.io/group=workers")[0]
	e.Cordon(lost.Spec.NodeName, true)
	e.RemovePod(lost.Name)
	e.Eventually("the gang says that the scheduler may not move it", func() bool {
		return e.said("ray.io/group=workers", "; the scheduler has no right to evict pod ") == 1
	})
	e.Install("evictions/rbac.yaml")
	e.Eventually("the gang says that it is to move, and what keeps it", func() bool {
		// Only the lost worker's replacement waits with this message; the head has no
		// budget.
		return e.said("ray.io/group=workers", "a PodDisruptionBudget does not allow it yet for pod ") == 1
	})
	if n := e.Bound("ray.io/group=workers"); n != 3 {
		t.Errorf("%d workers are left, and the budget wants all", n)
	}
	if err := e.Client.PolicyV1().PodDisruptionBudgets(e.Namespace).Delete(t.Context(), "keep", metav1.DeleteOptions{}); err != nil {
		t.Fatalf("deleting the budget: %v", err)
	}
	e.Eventually("the gang runs elsewhere", func() bool {
		pods := e.Pods("ray.io/cluster=train")
		return len(pods) == 5 && e.Bound("ray.io/cluster=train") == 5 && e.Domains("ray.io/group=workers", fleet.LabelLeaf)[leaf] == 0
	})
	e.leafOf("ray.io/group=workers")
	e.Eventually("an event on the RayCluster says that its pods are evicted", func() bool { return e.event("train", "are being evicted") })
}

// budget creates a PodDisruptionBudget for the workers.
func (e *env) budget(name string, least int) {
	e.Helper()
	available := intstr.FromInt(least)
	_, err := e.Client.PolicyV1().PodDisruptionBudgets(e.Namespace).Create(e.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: &available, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"ray.io/group": "workers"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		e.Fatalf("creating a budget: %v", err)
	}
	e.Eventually("the budget has counted the workers", func() bool {
		budget, err := e.Client.PolicyV1().PodDisruptionBudgets(e.Namespace).Get(e.Context(), name, metav1.GetOptions{})
		return err == nil && budget.Status.CurrentHealthy == int32(least)
	})
}

// Dovetail must not evict members when the gang fits nowhere else, or when no controller
// would replace the evicted pods.
func TestGangThatCannotMoveStays(t *testing.T) {
	e := onOwn(t, localcluster.Options{
		Fleets:         []fleet.Spec{plainFleet(t, "shape=plain,spines=1,leaves=2,nodes=3")},
		DovetailConfig: withGangArgs(t, "healAfter: 2s"),
		Without:        withoutOthers,
	})
	for _, group := range []string{"owned", "bare"} {
		e.podGroup(group, 3, map[string]string{levelRequired: "leaf"})
		pods := members(group, 3, asking("20", "1Gi"))
		if group == "owned" {
			e.ownedBy("nobody", pods...)
		}
		e.createPods(pods...)
		e.Whole(groupLabel+"="+group, 3)
	}
	for _, test := range []struct{ group, want string }{
		{"owned", "the 2 members that run stay where they are, because the whole gang fits nowhere else either"},
		{"bare", "the 2 members that run stay where they are, because no controller would replace pod bare-1"},
	} {
		lost := e.Pods(groupLabel + "=" + test.group)[0]
		e.Cordon(lost.Spec.NodeName, true)
		e.RemovePod(lost.Name)
		again := members(test.group, 1, asking("20", "1Gi"))
		again[0].Name = test.group + "-again" // KWOK deletes by name, and may do so once more after the pod is gone
		if test.group == "owned" {
			e.ownedBy("nobody", again...)
		}
		e.Eventually("pod "+lost.Name+" is gone", func() bool { return len(e.Pods(groupLabel+"="+test.group)) == 2 })
		e.createPods(again...)
		e.Eventually("the gang says why it stays", func() bool { return e.said(groupLabel+"="+test.group, test.want) == 1 })
		if n := e.Bound(groupLabel + "=" + test.group); n != 2 {
			t.Errorf("%d members of %s are left of 2", n, test.group)
		}
	}
}

// ownedBy sets the controller of the pods to an object that does nothing, and creates the
// object if it is missing.
func (e *env) ownedBy(name string, pods ...*corev1.Pod) {
	e.Helper()
	owner, err := e.Client.CoreV1().ConfigMaps(e.Namespace).Get(e.Context(), name, metav1.GetOptions{})
	if err != nil {
		owner, err = e.Client.CoreV1().ConfigMaps(e.Namespace).Create(e.Context(),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	}
	if err != nil {
		e.Fatalf("making an owner: %v", err)
	}
	for _, pod := range pods {
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: owner.UID, Controller: new(true),
		}}
	}
}
