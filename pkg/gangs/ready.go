// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Ready reports whether the pod itself allows a pending pod to be scheduled now: it is not
// being deleted, it has no scheduling gate, and the claims made for it from templates
// exist.
func Ready(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && len(pod.Spec.SchedulingGates) == 0 && missingClaim(pod) == nil
}

// Ready reports whether the member can be scheduled now: its pod allows it (see the function
// Ready), and it lacks nothing else, such as a ResourceClaim that it names.
func (m Member) Ready() bool { return Ready(m.Pod) && m.Lacks == "" }

// NotReady returns the reason why a pending pod itself does not allow to be scheduled now,
// as half a sentence such as "is being deleted", or "".
func NotReady(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return "is being deleted"
	}
	if len(pod.Spec.SchedulingGates) > 0 {
		return "has scheduling gate " + pod.Spec.SchedulingGates[0].Name
	}
	if claim := missingClaim(pod); claim != nil {
		return fmt.Sprintf("has no ResourceClaim made from template %s yet", *claim.ResourceClaimTemplateName)
	}
	return ""
}

// missingClaim returns the pod's first claim with a template from which no ResourceClaim
// has been made yet, or nil.
func missingClaim(pod *corev1.Pod) *corev1.PodResourceClaim {
	for i := range pod.Spec.ResourceClaims {
		claim := &pod.Spec.ResourceClaims[i]
		if claim.ResourceClaimTemplateName != nil && !hasGeneratedClaim(pod, claim.Name) {
			return claim
		}
	}
	return nil
}

// hasGeneratedClaim reports that the pod's status has an entry for the claim. An entry
// without a claim name is enough: the controller found that no claim is needed.
func hasGeneratedClaim(pod *corev1.Pod, name string) bool {
	for i := range pod.Status.ResourceClaimStatuses {
		if pod.Status.ResourceClaimStatuses[i].Name == name {
			return true
		}
	}
	return false
}

// Live reports whether the pod is an existing member of its gang: it is not being deleted, has
// not failed, and is not about to be evicted. Succeeded pods are live, or a gang would fall
// below its quorum (the members that must start together) as soon as its first member finishes.
func Live(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodFailed && !preempted(pod)
}

// preempted reports that a scheduler is about to evict the pod for another. Before it evicts the
// first member of a gang, it writes this to all members that it evicts: otherwise a member that
// a controller has replaced would join the others, which end a moment later.
func preempted(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		if condition.Type == corev1.DisruptionTarget {
			return condition.Status == corev1.ConditionTrue && condition.Reason == corev1.PodReasonPreemptionByScheduler
		}
	}
	return false
}

// Placed reports whether a live pod is past scheduling: bound, running or done.
func Placed(pod *corev1.Pod) bool {
	return pod.Spec.NodeName != ""
}
