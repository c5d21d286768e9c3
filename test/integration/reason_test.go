// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/report"
)

// A cluster autoscaler adds nodes for pods with the reason Unschedulable. An incomplete gang
// must not have it, and all members of a gang without room must.
func TestReasonForAutoscalers(t *testing.T) {
	e := onGPUs(t)
	e.podGroup("train", 3, nil)
	pods := members("train", 3, asking("97", "1Gi"))
	e.createPods(pods[:2]...)
	e.Refused(groupLabel+"=train", 2, "and 2 exist so far")
	e.haveReason("train", report.ReasonWaitingForGang)
	e.createPods(pods[2])
	e.Refused(groupLabel+"=train", 3, "0 of 3 members fit the fabric")
	e.haveReason("train", corev1.PodReasonUnschedulable)
}

// haveReason checks the reason of the PodScheduled conditions of a group's pods.
func (e *env) haveReason(group, want string) {
	e.Helper()
	if !e.reasonsAre(groupLabel+"="+group, want) {
		e.Errorf("the pods of group %s do not all have reason %s", group, want)
	}
}

// reasonsAre reports whether the PodScheduled conditions of the pods all have this reason.
func (e *env) reasonsAre(selector, want string) bool {
	e.Helper()
	for _, pod := range e.Pods(selector) {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodScheduled && condition.Reason != want {
				e.Logf("pod %s has reason %s, want %s", pod.Name, condition.Reason, want)
				return false
			}
		}
	}
	return true
}
