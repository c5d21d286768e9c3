// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// Two of three members have finished when the third fails. The replacement must start,
// although the scheduler's own informer shows only one of the three pods
// (kubernetes#142330).
func TestFinishedMembersKeepTheQuorum(t *testing.T) {
	e := onGPUs(t)
	e.podGroup("three", 3, nil)
	e.createPods(members("three", 3)...)
	e.Whole(groupLabel+"=three", 3)
	e.setPhase("three-0", corev1.PodSucceeded)
	e.setPhase("three-1", corev1.PodSucceeded)
	e.setPhase("three-2", corev1.PodFailed)
	e.RemovePod("three-2")
	e.createPods(newPod("three-3", inGroup("three")))
	e.Whole(groupLabel+"=three", 3)
}

func (e *env) setPhase(name string, phase corev1.PodPhase) {
	e.Helper()
	patch := fmt.Sprintf(`{"status":{"phase":%q}}`, phase)
	_, err := e.Client.CoreV1().Pods(e.Namespace).Patch(e.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil {
		e.Fatalf("ending pod %s: %v", name, err)
	}
}

// A worker that is replaced comes back to the leaf that its cluster requires. With
// that leaf full it waits and says so, beside three leaves that are empty.
func TestReplacementComesBackToItsLeaf(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.rayCluster(newRayCluster("train", 3, annotated(levelRequired, "leaf")))
	e.Whole("ray.io/cluster=train", 4)
	leaf := e.leafOf("ray.io/group=workers")
	lost := e.Pods("ray.io/group=workers")[0]
	e.RemovePod(lost.Name)
	e.Eventually("a worker is replaced", func() bool { return e.replaced("ray.io/group=workers", 3, lost.Name) })
	if again := e.leafOf("ray.io/group=workers"); again != leaf {
		t.Errorf("the replacement is on leaf %s, the others on %s", again, leaf)
	}
	for _, node := range e.nodesIn(leaf) {
		if !slices.Contains(e.NodesOf("ray.io/group=workers"), node) {
			e.Cordon(node, true)
			t.Cleanup(func() { e.Cordon(node, false) })
		}
	}
	lost = e.Pods("ray.io/group=workers")[0]
	e.Cordon(lost.Spec.NodeName, true)
	t.Cleanup(func() { e.Cordon(lost.Spec.NodeName, false) })
	e.RemovePod(lost.Name)
	e.Eventually("the replacement waits for its leaf", func() bool {
		return e.said("ray.io/group=workers", "gang raycluster "+e.Namespace+"/train: 0 of 1 member fit leaf ") == 1
	})
	e.Cordon(lost.Spec.NodeName, false)
	e.Whole("ray.io/cluster=train", 4)
	if again := e.leafOf("ray.io/group=workers"); again != leaf {
		t.Errorf("the replacement is on leaf %s, the others on %s", again, leaf)
	}
}

// If no level is required, a replacement must be placed as near to the other members as
// possible.
func TestReplacementGoesToTheNearestPlace(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.rayCluster(newRayCluster("train", 4))
	e.Whole("ray.io/cluster=train", 5)
	lost := e.Pods("ray.io/group=workers")[0]
	e.Cordon(lost.Spec.NodeName, true)
	t.Cleanup(func() { e.Cordon(lost.Spec.NodeName, false) })
	e.RemovePod(lost.Name)
	e.Eventually("a worker is replaced", func() bool { return e.replaced("ray.io/group=workers", 4, lost.Name) })
	if spines := e.Domains("ray.io/group=workers", fleet.LabelSpine); len(spines) != 1 {
		t.Errorf("the workers are on spines %v, want the replacement beside the others", spines)
	}
}

// replaced reports whether n pods match and are bound, and the lost pod is not among them.
func (e *env) replaced(selector string, n int, lost string) bool {
	e.Helper()
	pods := e.Pods(selector)
	return len(pods) == n && e.Bound(selector) == n &&
		!slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return pod.Name == lost })
}

// leafOf returns the leaf of the matching pods. It fails the test if they are on several
// leaves.
func (e *env) leafOf(selector string) string {
	e.Helper()
	return e.OnlyDomain(selector, fleet.LabelLeaf)
}

func (e *env) nodesIn(leaf string) []string {
	e.Helper()
	list, err := e.Client.CoreV1().Nodes().List(e.Context(), metav1.ListOptions{LabelSelector: fleet.LabelLeaf + "=" + leaf})
	if err != nil {
		e.Fatalf("listing the nodes of leaf %s: %v", leaf, err)
	}
	var names []string
	for _, node := range list.Items {
		names = append(names, node.Name)
	}
	return names
}

// keepOpen cordons all nodes but the first ones of the first leaf, until the test ends. It
// returns when Dovetail knows.
func (e *env) keepOpen(n int) {
	e.Helper()
	list, err := e.Client.CoreV1().Nodes().List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatalf("listing nodes: %v", err)
	}
	leaf, last := list.Items[0].Labels[fleet.LabelLeaf], ""
	for _, node := range list.Items {
		if n > 0 && node.Labels[fleet.LabelLeaf] == leaf {
			n--
			continue
		}
		last = node.Name
		e.Cordon(node.Name, true)
		e.Cleanup(func() { e.Cordon(node.Name, false) })
	}
	if n > 0 {
		e.Fatalf("leaf %s lacks %d nodes for this test", leaf, n)
	}
	for i := 0; !e.refuses(last, fmt.Sprintf("probe-%d", i)); i++ {
	}
}

// refuses reports whether Dovetail refuses a pod for a node.
func (e *env) refuses(node, name string) bool {
	e.Helper()
	e.createPods(newPod(name, onNode(node)))
	refused := false
	e.Eventually("the scheduler decides on pod "+name, func() bool {
		pod, err := e.Client.CoreV1().Pods(e.Namespace).Get(e.Context(), name, metav1.GetOptions{})
		if err != nil {
			e.Fatalf("reading pod %s: %v", name, err)
		}
		refused = harness.Unschedulable(pod) != ""
		return refused || pod.Spec.NodeName != ""
	})
	e.RemovePod(name)
	return refused
}

// A changed minimum must apply from then on, for a waiting gang and for a running gang.
func TestMinimumChangesWhileTheGangLives(t *testing.T) {
	e := onGPUs(t)
	e.podGroup("live", 5, nil)
	e.createPods(members("live", 3)...)
	e.Refused(groupLabel+"=live", 3, "waiting for 2 of 5 members")
	e.setMin("live", 3)
	e.Whole(groupLabel+"=live", 3)
	e.setMin("live", 6)
	e.createPods(newPod("live-3", inGroup("live"))) // five of six members exist at most; the pod must not wait
	e.Whole(groupLabel+"=live", 4)
	e.setMin("live", 2)
	e.createPods(newPod("live-4", inGroup("live")))
	e.Whole(groupLabel+"=live", 5)
}

func (e *env) setMin(group string, least int) {
	e.Helper()
	patch := fmt.Sprintf(`{"spec":{"minMember":%d}}`, least)
	_, err := e.Dynamic.Resource(podGroups).Namespace(e.Namespace).Patch(e.Context(), group, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		e.Fatalf("changing the minimum of PodGroup %s: %v", group, err)
	}
}

// A suspended RayCluster must release all its nodes. It must be placed completely when it
// is resumed.
func TestSuspendedAndResumed(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.rayCluster(newRayCluster("paused", 16))
	e.Whole("ray.io/cluster=paused", 17)
	suspend := func(yes bool) {
		e.updateRayCluster("paused", func(c *rayv1.RayCluster) { c.Spec.Suspend = &yes })
	}
	suspend(true)
	e.Gone("ray.io/cluster=paused")
	e.rayCluster(newRayCluster("other", 16))
	e.Whole("ray.io/cluster=other", 17)
	suspend(false)
	e.Refused("ray.io/cluster=paused", 17, "gang raycluster "+e.Namespace+"/paused: ")
	e.remove(rayClusters, "other")
	e.Whole("ray.io/cluster=paused", 17)
}

// said counts the matching pods without a node that have the sentence in their message.
func (e *env) said(selector, sentence string) int {
	e.Helper()
	n := 0
	for _, pod := range e.Pods(selector) {
		if pod.Spec.NodeName == "" && containsSentence(&pod, sentence) {
			n++
		}
	}
	return n
}
