// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"
)

// raySubmitterGroup is the task group that KubeRay gives the pod which submits
// a RayJob.
const raySubmitterGroup = "submittergroup"

// notAMember recognises the pods that carry the labels of a gang, but exist only
// before or after its other members: a quorum that waits for them, or in which
// they wait, is never complete. No source is asked about them, so that a source
// which does not know the trap cannot fall into it; they are scheduled like any
// pod without a gang.
func notAMember(pod *corev1.Pod) bool {
	return isRedisCleanup(pod) || isRaySubmitter(pod) || isInitialiser(pod) || isExclusiveLeader(pod)
}

// isRedisCleanup: KubeRay starts it when the RayCluster is gone, with labels as
// the cluster's pods have them.
func isRedisCleanup(pod *corev1.Pod) bool {
	return pod.Labels[rayNodeTypeLabel] == string(rayv1.RedisCleanupNode)
}

// isRaySubmitter: KubeRay starts it when all of the RayCluster is ready, and
// marks it for Volcano or YuniKorn as if it were of the same gang. A worker group
// may have the same name; its pods are Ray nodes.
func isRaySubmitter(pod *corev1.Pod) bool {
	if pod.Labels[rayNodeTypeLabel] != "" {
		return false
	}
	return pod.Annotations[volcanoTaskAnnotation] == raySubmitterGroup ||
		pod.Annotations[yuniKornGroupAnnotation] == raySubmitterGroup
}

// isInitialiser: the steps of a TrainJob that fetch data and model have to be
// over before the pods that train are made.
func isInitialiser(pod *corev1.Pod) bool {
	return initialises(pod.Labels[jobSetReplicatedJob], pod.Labels)
}

// isExclusiveLeader: with exclusive placement JobSet's webhook refuses every
// other pod of a Job until the one with index 0 has a node.
func isExclusiveLeader(pod *corev1.Pod) bool {
	return pod.Labels[jobSetName] != "" && AsksForExclusivePlacement(pod.Annotations) && completionIndexOf(pod) == "0"
}
