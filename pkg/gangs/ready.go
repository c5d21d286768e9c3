// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Ready reports whether a pending pod could be scheduled now, as far as the pod
// itself is concerned: it is not on its way out, no gate holds it, and the
// claims that are made for it from templates are there.
func Ready(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && len(pod.Spec.SchedulingGates) == 0 && missingClaim(pod) == nil
}

// NotReady says in half a sentence what keeps a pending pod from being Ready,
// or "" if nothing does.
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

// missingClaim returns the pod's first claim that is to be made from a template
// and is not made yet.
func missingClaim(pod *corev1.Pod) *corev1.PodResourceClaim {
	for i := range pod.Spec.ResourceClaims {
		claim := &pod.Spec.ResourceClaims[i]
		if claim.ResourceClaimTemplateName != nil && !hasGeneratedClaim(pod, claim.Name) {
			return claim
		}
	}
	return nil
}

// hasGeneratedClaim looks for the entry only: an entry without a claim name
// says that the controller found no claim to be needed.
func hasGeneratedClaim(pod *corev1.Pod, name string) bool {
	for i := range pod.Status.ResourceClaimStatuses {
		if pod.Status.ResourceClaimStatuses[i].Name == name {
			return true
		}
	}
	return false
}

// Live reports whether the pod counts as a member that is there: it exists, is
// not on its way out and has not failed. Pods that succeeded stay counted, or a
// gang whose first member finishes would fall below its quorum.
func Live(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodFailed
}

// Placed reports whether a live pod is past scheduling: bound, running or done.
func Placed(pod *corev1.Pod) bool {
	return pod.Spec.NodeName != ""
}
