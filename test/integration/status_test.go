// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// A PodGroup's status must follow its pods. In this cluster only the scheduler writes it.
func TestStatusOfAPodGroup(t *testing.T) {
	e := onGPUs(t)
	e.podGroup("pg", 3, nil)
	e.createPods(members("pg", 2)...)
	e.status("pg", "phase Pending, running 0, succeeded 0, failed 0")
	e.createPods(newPod("pg-2", inGroup("pg")))
	e.status("pg", "phase Running, running 3, succeeded 0, failed 0")
	e.setPhase("pg-0", corev1.PodFailed)
	e.status("pg", "phase Failed, running 2, succeeded 0, failed 1")
	e.RemovePod("pg-0")
	e.createPods(newPod("pg-3", inGroup("pg")))
	e.status("pg", "phase Running, running 3, succeeded 0, failed 0")
	for _, name := range []string{"pg-1", "pg-2", "pg-3"} {
		e.setPhase(name, corev1.PodSucceeded)
	}
	e.status("pg", "phase Finished, running 0, succeeded 3, failed 0")
	e.RemovePods("")
	e.podGroup("other", 1, nil)
	e.createPods(members("other", 1)...) // when this status is correct, all earlier writes are done
	e.status("other", "phase Running, running 1, succeeded 0, failed 0")
	e.status("pg", "phase Finished, running 0, succeeded 3, failed 0")
}

// Dovetail must not change a status that another controller writes.
func TestStatusOfAnotherControllerIsLeftAlone(t *testing.T) {
	e := onGPUs(t)
	e.podGroup("theirs", 2, nil)
	e.podGroup("ours", 2, nil)
	_, err := e.Dynamic.Resource(podGroups).Namespace(e.Namespace).Patch(t.Context(), "theirs", types.MergePatchType,
		[]byte(`{"status":{"phase":"Unknown"}}`), metav1.PatchOptions{FieldManager: "their-controller"}, "status")
	if err != nil {
		t.Fatalf("writing a status in another's name: %v", err)
	}
	e.createPods(members("theirs", 2)...)
	e.Whole(groupLabel+"=theirs", 2)
	e.createPods(members("ours", 2)...)
	e.status("ours", "phase Running, running 2, succeeded 0, failed 0")
	e.status("theirs", "phase Unknown, running 0, succeeded 0, failed 0")
}

// status waits until the status of a PodGroup is the wanted text.
func (e *env) status(name, want string) {
	e.Helper()
	var got string
	e.Eventually(fmt.Sprintf("the status of PodGroup %s is %s", name, want), func() bool {
		group, err := e.Dynamic.Resource(podGroups).Namespace(e.Namespace).Get(e.Context(), name, metav1.GetOptions{})
		if err != nil {
			e.Fatalf("reading PodGroup %s: %v", name, err)
		}
		if now := statusLine(group); now != got {
			got = now
			e.Logf("PodGroup %s: %s", name, got)
		}
		return got == want
	})
}

func statusLine(group *unstructured.Unstructured) string {
	phase, _, _ := unstructured.NestedString(group.Object, "status", "phase")
	parts := []string{"phase " + phase}
	for _, field := range []string{"running", "succeeded", "failed"} {
		n, _, _ := unstructured.NestedInt64(group.Object, "status", field)
		parts = append(parts, fmt.Sprintf("%s %d", field, n))
	}
	return strings.Join(parts, ", ")
}
