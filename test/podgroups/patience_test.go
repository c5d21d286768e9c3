// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// patient starts a cluster of two leaves of so many nodes, with more lines among the
// arguments of Gang.
func patient(t *testing.T, perLeaf int, lines ...string) *env {
	t.Helper()
	t.Parallel()
	const before = "  - name: Gang\n    args:\n"
	if !strings.Contains(string(manifests.SchedulerConfig), before) {
		t.Fatal("the shipped configuration has no arguments of Gang where this test expects them")
	}
	spec, err := fleet.Parse(fmt.Sprintf("shape=plain,spines=1,leaves=2,nodes=%d", perLeaf))
	if err != nil {
		t.Fatal(err)
	}
	return inCluster(t, harness.Start(t, localcluster.Options{
		FeatureGates: allGates, Fleets: []fleet.Spec{spec}, Without: []string{localcluster.KubeRay, localcluster.Scheduler},
		DovetailConfig: []byte(strings.Replace(string(manifests.SchedulerConfig), before, before+"      "+strings.Join(lines, "\n      ")+"\n", 1)),
	}))
}

// A gang that lost a node, and finds no room for its member's replacement where it
// runs, is evicted and placed whole elsewhere once healAfter has passed.
func TestGroupThatLostANodeMoves(t *testing.T) {
	e := patient(t, 4, "healAfter: 3s")
	e.group("train", 4, key(fleet.LabelLeaf))
	e.replicas("train", 4)
	e.Whole(of("train"), 4)
	leaf := e.OnlyDomain(of("train"), fleet.LabelLeaf)
	lost := e.Pods(of("train"))[0]
	e.Cordon(lost.Spec.NodeName, true)
	e.RemovePod(lost.Name)
	e.Eventually("the gang says that it will move", func() bool {
		return strings.Contains(e.waitingPods(of("train")), "; if nothing changes within healAfter (3s), the 3 members that run are evicted to place the gang whole elsewhere")
	})
	e.Eventually("the gang runs elsewhere", func() bool {
		return len(e.Pods(of("train"))) == 4 && e.Bound(of("train")) == 4 && e.Domains(of("train"), fleet.LabelLeaf)[leaf] == 0
	})
	e.OnlyDomain(of("train"), fleet.LabelLeaf)
	e.Eventually("an event on the PodGroup says that its pods are evicted", func() bool {
		return slices.ContainsFunc(e.Events(), func(event string) bool {
			return strings.HasPrefix(event, "PodGroup ") && strings.Contains(event, "are being evicted")
		})
	})
}

// A hierarchy that lost a node moves as one: two groups, each in one leaf of its own
// or in the same.
func TestHierarchyThatLostANodeMoves(t *testing.T) {
	e := patient(t, 4, "healAfter: 3s")
	e.composite("pair", "", 2, levelWish("leaf"))
	e.group("pair-a", 2, below("pair"))
	e.group("pair-b", 2, below("pair"))
	e.replicas("pair-a", 2)
	e.replicas("pair-b", 2)
	e.Whole(of("pair-a"), 2)
	e.Whole(of("pair-b"), 2)
	leaf := e.OnlyDomain(ofAny("pair-a", "pair-b"), fleet.LabelLeaf)
	lost := e.Pods(of("pair-a"))[0]
	e.Cordon(lost.Spec.NodeName, true)
	e.RemovePod(lost.Name)
	e.Eventually("the hierarchy runs elsewhere", func() bool {
		all := ofAny("pair-a", "pair-b")
		return len(e.Pods(all)) == 4 && e.Bound(all) == 4 && e.Domains(all, fleet.LabelLeaf)[leaf] == 0
	})
	e.OnlyDomain(ofAny("pair-a", "pair-b"), fleet.LabelLeaf)
}

// A gang that needs a whole leaf waits while small ones pass it. After maxBypass one
// leaf is kept for it: later gangs wait, and when the leaf's pods have ended it runs.
func TestSmallGroupsPassForAWhile(t *testing.T) {
	const bypass = 5 * time.Second
	e := patient(t, 4, fmt.Sprintf("maxBypass: %v", bypass))
	made := 0
	more := func(change ...func(*corev1.Pod)) string {
		made++
		name := fmt.Sprintf("small%d", made)
		e.group(name, 1)
		e.members(name, 0, 1, append(change, func(pod *corev1.Pod) { pod.Labels["small"] = "yes" })...)
		return name
	}
	first := more()
	e.Whole(of(first), 1)
	other := more(e.notIn(e.OnlyDomain(of(first), fleet.LabelLeaf))) // so that neither leaf is whole
	e.Whole(of(other), 1)
	e.group("large", 4, key(fleet.LabelLeaf))
	e.members("large", 0, 4)
	e.refused("large", 4, "gang schedulinggroup "+e.Namespace+"/large: 3 of 4 members fit")

	e.Whole(of(more()), 1) // the first that passes
	e.Eventually("nodes are kept for the large gang", func() bool {
		return strings.Contains(e.condition("large", metav1.ConditionFalse), "; 4 nodes are reserved for it, because later gangs have bypassed it for longer than maxBypass (5s)")
	})
	held := fmt.Sprintf("held back: its only node is reserved for schedulinggroup %s/large, which has been bypassed longer than maxBypass (5s)", e.Namespace)
	last := ""
	e.Eventually("a later gang is held back", func() bool {
		last = more()
		e.Eventually("the gang is placed or held back", func() bool {
			return e.Bound(of(last)) == 1 || strings.Contains(e.condition(last, metav1.ConditionFalse), held)
		})
		return e.Bound(of(last)) == 0
	})
	t.Logf("%d small gangs came", made)
	e.RemovePods("small=yes," + groupName + "!=" + last)
	e.Whole(of("large"), 4)
	e.OnlyDomain(of("large"), fleet.LabelLeaf)
	e.Whole(of(last), 1) // whom it held back is let go
}

// replicas makes a ReplicaSet whose pods name the group, each as large as a node.
func (e *env) replicas(group string, n int32) {
	e.Helper()
	labels := map[string]string{groupName: group}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec()}
	template.Spec.RestartPolicy = corev1.RestartPolicyAlways
	template.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &group}
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: group}, Spec: appsv1.ReplicaSetSpec{
		Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template,
	}}
	if _, err := e.Client.AppsV1().ReplicaSets(e.Namespace).Create(e.Context(), set, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating ReplicaSet %s: %v", group, err)
	}
}

// notIn keeps a pod out of a leaf.
func (e *env) notIn(leaf string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: fleet.LabelLeaf, Operator: corev1.NodeSelectorOpNotIn, Values: []string{leaf}}},
			}}},
		}}
	}
}

// waitingPods is what pods without nodes say.
func (e *env) waitingPods(selector string) string {
	e.Helper()
	said := ""
	for _, pod := range e.Pods(selector) {
		if pod.Spec.NodeName == "" {
			said += harness.Unschedulable(&pod)
		}
	}
	return said
}
