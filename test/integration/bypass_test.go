// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// A gang that needs a whole leaf waits while small ones pass it. After maxBypass
// one leaf is kept for it: later gangs fill the other one and then wait, and when
// the leaf's pods have ended the gang gets it.
func TestSmallGangsPassForAWhile(t *testing.T) {
	const bypass = 6 * time.Second
	e := onOwn(t, localcluster.Options{
		Fleets:         []fleet.Spec{plainFleet(t, "shape=plain,spines=1,leaves=2,nodes=4")},
		DovetailConfig: withGangArgs(t, fmt.Sprintf("maxBypass: %v", bypass)),
		Without:        []string{localcluster.KubeRay},
	})
	small := 0
	more := func() string {
		small++
		name := fmt.Sprintf("small%d", small)
		e.podGroup(name, 1, nil)
		e.createPods(members(name, 1, asking("20", "1Gi"))...)
		return groupLabel + "=" + name
	}
	// One on each leaf, so that neither is whole.
	e.Whole(more(), 1)
	e.podGroup("blocker", 1, nil)
	blocker := members("blocker", 1, asking("20", "1Gi"))
	blocker[0].Spec.NodeSelector = map[string]string{fleet.LabelLeaf: e.otherLeaf(groupLabel + "=small1")}
	e.createPods(blocker...)
	e.Whole(groupLabel+"=blocker", 1)
	e.podGroup("large", 4, map[string]string{levelRequired: "leaf"})
	e.createPods(members("large", 4, asking("20", "1Gi"))...)
	e.Refused(groupLabel+"=large", 4, "3 of 4 members fit leaf")

	e.Whole(more(), 1) // the first that passes
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
	e.createPods(newPod("plain", asking("8", "1Gi"))) // in no gang: nobody asks it to wait
	e.Eventually("a pod without a gang is placed", func() bool { return e.podHasNode("plain") })
	t.Logf("%d small gangs came after the large one", small)
	// The pods of one leaf end: of both, because the test does not know which is kept.
	for i := 1; i < small; i++ {
		e.RemovePods(fmt.Sprintf("%s=small%d", groupLabel, i))
	}
	e.RemovePods(groupLabel + "=blocker")
	e.Whole(groupLabel+"=large", 4)
	e.leafOf(groupLabel + "=large")
	e.Whole(last, 1) // whom it held back is let go
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

// otherLeaf returns a leaf that the pods do not stand on.
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
