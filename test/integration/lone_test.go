// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// A pod with claims and without a gang is planned as a gang of one. Filters must run at
// most twice for each pod, on its planned node. The pods must fill nodes one after the
// other. A pod that fits on no node must get stock's message.
func TestLonePodsWithClaims(t *testing.T) {
	const nodes, pods = 8, 24
	e := alone(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, fmt.Sprintf("shape=ndh100v5,spines=1,leaves=2,nodes=%d", nodes/2))},
		Without: withoutSchedulers,
	})
	counter := &filterCounter{nodes: map[string]int{}}
	e.runScheduler(t, counter)
	e.deviceTemplate("two", map[string]int64{fleet.ClassGPU: 2, fleet.ClassRDMA: 2})
	e.deviceTemplate("nine", map[string]int64{fleet.ClassGPU: 9})
	for i := range pods {
		e.createPods(newPod(fmt.Sprintf("lone-%d", i), withTemplates("two")))
	}
	e.Whole("", pods)
	used := e.Domains("", corev1.LabelHostname)
	t.Logf("%d pods of 2 GPUs on %d nodes: filters ran for %d (pod, node) pairs", pods, len(used), counter.calls.Load())
	if calls := counter.calls.Load(); calls > 2*pods {
		t.Errorf("filters ran for %d (pod, node) pairs, want at most %d", calls, 2*pods)
	}
	if len(used) != pods/4 {
		t.Errorf("the pods are on nodes %v, want %d nodes with 4 pods each", used, pods/4)
	}

	e.createPods(newPod("big", withTemplates("nine")))
	e.Eventually("the pod is told why it waits", func() bool {
		pods := e.Pods("")
		for i := range pods {
			if pods[i].Name == "big" {
				return containsSentence(&pods[i], "devices of class gpu.nvidia.com: 9 wanted")
			}
		}
		return false
	})
}
