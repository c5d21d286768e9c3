// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/report"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// A gang that needs all nodes of a leaf waits while small gangs bypass it. After maxBypass
// the nodes of one leaf are reserved for it: later gangs fill the other leaf and then wait.
// When the pods on the reserved leaf have ended, the gang must be placed there.
func TestSmallGangsPassForAWhile(t *testing.T) {
	const bypass = 6 * time.Second
	e := onOwn(t, localcluster.Options{
		Fleets:         []fleet.Spec{plainFleet(t, "shape=plain,spines=1,leaves=2,nodes=4")},
		DovetailConfig: withGangArgs(t, fmt.Sprintf("maxBypass: %v", bypass)),
		Without:        withoutOthers,
	})
	small := 0
	more := func() string {
		small++
		name := fmt.Sprintf("small%d", small)
		e.podGroup(name, 1, nil)
		e.createPods(members(name, 1, asking("20", "1Gi"))...)
		return groupLabel + "=" + name
	}
	// One small pod on each leaf, so neither leaf is idle.
	e.Whole(more(), 1)
	e.podGroup("blocker", 1, nil)
	blocker := members("blocker", 1, asking("20", "1Gi"))
	blocker[0].Spec.NodeSelector = map[string]string{fleet.LabelLeaf: e.otherLeaf(groupLabel + "=small1")}
	e.createPods(blocker...)
	e.Whole(groupLabel+"=blocker", 1)
	e.podGroup("large", 4, map[string]string{levelRequired: "leaf"})
	e.createPods(members("large", 4, asking("20", "1Gi"))...)
	e.Refused(groupLabel+"=large", 4, "3 of 4 members fit leaf")

	e.Whole(more(), 1) // the first gang that bypasses it
	e.Eventually("nodes are kept for the large gang", func() bool {
		return e.said(groupLabel+"=large", "; 4 nodes are reserved for it, because later gangs have bypassed it for longer than maxBypass (6s)") == 4
	})
	var last string
	e.Eventually("a later gang is held back", func() bool {
		last = more()
		held := 0
		e.Eventually("the gang is placed or held back", func() bool {
			held = e.said(last, "held back: its only node is reserved for podgroup "+e.Namespace+"/large, which has been bypassed longer than maxBypass (6s)")
			return held == 1 || e.Bound(last) == 1
		})
		return held == 1
	})
	e.Eventually("autoscalers add no node for the gang that is held back", func() bool { return e.reasonsAre(last, report.ReasonWaitingForGang) })
	if !e.reasonsAre(groupLabel+"=large", corev1.PodReasonUnschedulable) {
		e.Errorf("the gang with reserved nodes, which has no room, must have the reason %s", corev1.PodReasonUnschedulable)
	}
	e.createPods(newPod("plain", asking("8", "1Gi"))) // a pod in no gang is not held back
	e.Eventually("a pod without a gang is placed", func() bool { return e.podHasNode("plain") })
	t.Logf("%d small gangs came after the large one", small)
	// End the pods of both leaves, because the test does not know which leaf is reserved.
	for i := 1; i < small; i++ {
		e.RemovePods(fmt.Sprintf("%s=small%d", groupLabel, i))
	}
	e.RemovePods(groupLabel + "=blocker")
	e.Whole(groupLabel+"=large", 4)
	e.leafOf(groupLabel + "=large")
	e.Whole(last, 1) // the gang that was held back is placed
}

func (e *env) podHasNode(name string) bool {
	e.Helper()
	for _, pod := range e.Pods("") {
		if pod.Name == name {
			return pod.Spec.NodeName != ""
		}
	}
	return false
}

// otherLeaf returns a leaf without nodes of the pods.
func (e *env) otherLeaf(selector string) string {
	e.Helper()
	used := e.leafOf(selector)
	for node := range plainFleet(e.T, "shape=plain,spines=1,leaves=2,nodes=4").All() {
		if node.Leaf() != used {
			return node.Leaf()
		}
	}
	e.Fatalf("there is no leaf but %s", used)
	return ""
}
