// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"
)

// raySubmitterGroup is the name of the task group (of Volcano or YuniKorn) in which KubeRay
// puts the pod that submits a RayJob.
const raySubmitterGroup = "submittergroup"

// notAMember reports whether the pod carries the labels of a gang but exists only before
// or after the gang's other members. A quorum (the members that must start together) with
// such a pod is never complete. Sources (the readers of gang declarations) skip the pod,
// and it is scheduled like a pod without a gang.
func notAMember(pod *corev1.Pod) bool {
	return isRedisCleanup(pod) || isRaySubmitter(pod) || isInitialiser(pod) || isExclusiveLeader(pod)
}

// isRedisCleanup reports whether the pod is a Redis cleanup pod. KubeRay creates it when
// the RayCluster is deleted, with labels like those of the cluster's pods.
func isRedisCleanup(pod *corev1.Pod) bool {
	return pod.Labels[rayNodeTypeLabel] == string(rayv1.RedisCleanupNode)
}

// isRaySubmitter reports whether the pod submits a RayJob. KubeRay creates such a pod
// when all of the RayCluster is ready, and marks it for Volcano or YuniKorn as a member
// of the same gang. A worker group may have the same name; its pods have a Ray node type.
func isRaySubmitter(pod *corev1.Pod) bool {
	if pod.Labels[rayNodeTypeLabel] != "" {
		return false
	}
	return pod.Annotations[volcanoTaskAnnotation] == raySubmitterGroup ||
		pod.Annotations[yuniKornGroupAnnotation] == raySubmitterGroup
}

// isInitialiser reports whether the pod fetches data or a model for a TrainJob. Such pods
// must complete before the training pods are created.
func isInitialiser(pod *corev1.Pod) bool {
	return initialises(pod.Labels[jobSetReplicatedJob], pod.Labels)
}

// isExclusiveLeader reports whether the pod has index 0 in a Job of a JobSet with exclusive
// placement (a topology domain for each Job). JobSet's webhook rejects every other pod of
// the Job until that pod has a node.
func isExclusiveLeader(pod *corev1.Pod) bool {
	return pod.Labels[jobSetName] != "" && AsksForExclusivePlacement(pod.Annotations) && completionIndexOf(pod) == "0"
}
