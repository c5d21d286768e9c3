// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Labels and annotations in which controllers number their pods.
const (
	completionIndex = "batch.kubernetes.io/job-completion-index"
	kubeflowIndex   = "training.kubeflow.org/replica-index"
	statefulIndex   = "apps.kubernetes.io/pod-index"
)

// The functions below read pods that name a pod group of any kind, such as a PodGroup of
// Volcano. The group gives the number of members; the labels of the pods' own controller
// give their roles (which members have one task) and their order.

// groupRole returns the role of a pod that names a group. For a Ray or JobSet pod it is
// the same as without the group, because the gang may be read from the RayCluster or
// JobSet: the head or the worker group's name, or the replicatedJob's name. For any other
// pod it is derived from the pod's labels and requests.
func groupRole(pod *corev1.Pod) string {
	if _, ok := rayClusterOf(pod); ok {
		return rayRole(pod)
	}
	if role := pod.Labels[jobSetReplicatedJob]; role != "" {
		return role
	}
	return shapeRole(pod)
}

func groupRank(pod *corev1.Pod) Rank {
	if _, ok := rayClusterOf(pod); ok {
		return rayRank(pod)
	}
	for _, by := range []struct{ outer, inner string }{
		{jobSetJobIndex, completionIndex},
		{"", kubeflowIndex},
		{"", lwsWorkerIndex},
		{"", statefulIndex},
	} {
		if rank := rankOf(pod, by.outer, by.inner); rank.Known {
			return rank
		}
	}
	return Rank{}
}

func groupReplica(pod *corev1.Pod) string {
	if _, ok := rayClusterOf(pod); ok {
		return rayReplica(pod)
	}
	return jobSetReplica(pod)
}

func groupMaker(pod *corev1.Pod) types.UID {
	if uid := pod.Labels[jobSetUID]; uid != "" {
		return types.UID(uid)
	}
	return controllerUID(pod)
}
