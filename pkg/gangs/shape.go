// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// roleLabels are the labels in which controllers name the role of a pod.
var roleLabels = []string{
	"training.kubeflow.org/replica-type",
	"training.kubeflow.org/job-role",
	"jobset.sigs.k8s.io/replicatedjob-name",
	"trainer.kubeflow.org/trainjob-ancestor-step",
}

// shapeRole returns a role name for a pod whose gang declares no roles: the role that a
// label of the pod's controller gives ("pods" without a label), and a hash of what the
// pod needs of its node.
func shapeRole(pod *corev1.Pod) string {
	part := "pods"
	for _, label := range roleLabels {
		if v := pod.Labels[label]; v != "" {
			part = v
			break
		}
	}
	return fmt.Sprintf("%s-%08x", part, uint32(SignatureOf(pod)))
}
