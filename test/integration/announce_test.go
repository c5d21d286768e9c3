// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// A planned pod must be bound without a nominatedNodeName before. The test covers gang
// members with and without claims, and a pod with claims in no gang.
func TestPlannedPodsAreNotNominated(t *testing.T) {
	const size = 4
	e := onGPUs(t)
	changes, err := e.Client.CoreV1().Pods(e.Namespace).Watch(e.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("watching pods: %v", err)
	}
	defer changes.Stop()
	e.deviceTemplate("two", map[string]int64{fleet.ClassGPU: 2, fleet.ClassRDMA: 2})
	e.podGroup("plain", size, nil)
	e.podGroup("paired", size, nil)
	e.createPods(members("plain", size)...)
	e.createPods(members("paired", size, withTemplates("two"))...)
	e.createPods(newPod("lone", withTemplates("two")))

	bound := sets.New[string]()
	for change := range changes.ResultChan() {
		pod, ok := change.Object.(*corev1.Pod)
		if !ok || change.Type == watch.Deleted {
			t.Fatalf("%s of a %T", change.Type, change.Object)
		}
		if node := pod.Status.NominatedNodeName; node != "" && pod.Spec.NodeName == "" {
			t.Errorf("pod %s was nominated to node %s before it was bound", pod.Name, node)
		}
		if pod.Spec.NodeName != "" {
			bound.Insert(pod.Name)
		}
		if bound.Len() == 2*size+1 {
			break
		}
	}
	if bound.Len() < 2*size+1 {
		t.Errorf("%d pods are bound when the watch ends, want %d", bound.Len(), 2*size+1)
	}
}
