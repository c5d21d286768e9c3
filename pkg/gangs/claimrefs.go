// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import corev1 "k8s.io/api/core/v1"

// NamedClaims returns the names of the ResourceClaims that the pod refers to by name, and
// not through a template.
func NamedClaims(pod *corev1.Pod) []string {
	var names []string
	for i := range pod.Spec.ResourceClaims {
		if name := pod.Spec.ResourceClaims[i].ResourceClaimName; name != nil {
			names = append(names, *name)
		}
	}
	return names
}

// PendingTemplate returns the name of the ResourceClaimTemplate from which the pod's first
// missing ResourceClaim is to be made, or "" if none is missing.
func PendingTemplate(pod *corev1.Pod) string {
	if claim := missingClaim(pod); claim != nil {
		return *claim.ResourceClaimTemplateName
	}
	return ""
}
