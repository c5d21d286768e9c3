// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"encoding/json"
	"fmt"
	"hash/fnv"

	corev1 "k8s.io/api/core/v1"
)

// roleLabels are the labels in which controllers name the role of a pod.
var roleLabels = []string{
	"training.kubeflow.org/replica-type",
	"training.kubeflow.org/job-role",
	"jobset.sigs.k8s.io/replicatedjob-name",
	"trainer.kubeflow.org/trainjob-ancestor-step",
}

// shape holds every pod field that decides where the pod fits, and no field that differs
// between pods of one template. It has no volumes, because each pod of a StatefulSet names
// its own volume claim.
type shape struct {
	Resources      *corev1.ResourceRequirements
	Containers     []containerShape
	InitContainers []containerShape
	Overhead       corev1.ResourceList
	NodeSelector   map[string]string
	Affinity       *corev1.Affinity
	Tolerations    []corev1.Toleration
	Spread         []corev1.TopologySpreadConstraint
	Claims         []claimShape
	RuntimeClass   *string
	HostNetwork    bool
}

type containerShape struct {
	Requests corev1.ResourceList
	Claims   []corev1.ResourceClaim
	Ports    []int32
	Restart  *corev1.ContainerRestartPolicy
}

type claimShape struct {
	Name     string
	Claim    *string
	Template *string
}

// shapeRole returns the role of a pod whose gang declares no roles: the controller's name
// for the role and a hash of the shape. It takes some microseconds, so Member keeps the
// result.
func shapeRole(pod *corev1.Pod) string {
	part := "pods"
	for _, label := range roleLabels {
		if v := pod.Labels[label]; v != "" {
			part = v
			break
		}
	}
	return fmt.Sprintf("%s-%08x", part, shapeHash(&pod.Spec))
}

// shapeHash hashes the shape's JSON, which has sorted keys and canonical
// quantities.
func shapeHash(spec *corev1.PodSpec) uint32 {
	s := shape{
		Resources:      spec.Resources,
		Containers:     containerShapes(spec.Containers),
		InitContainers: containerShapes(spec.InitContainers),
		Overhead:       spec.Overhead,
		NodeSelector:   spec.NodeSelector,
		Affinity:       spec.Affinity,
		Tolerations:    spec.Tolerations,
		Spread:         spec.TopologySpreadConstraints,
		RuntimeClass:   spec.RuntimeClassName,
		HostNetwork:    spec.HostNetwork,
	}
	for i := range spec.ResourceClaims {
		c := &spec.ResourceClaims[i]
		s.Claims = append(s.Claims, claimShape{c.Name, c.ResourceClaimName, c.ResourceClaimTemplateName})
	}
	h := fnv.New32a()
	if err := json.NewEncoder(h).Encode(s); err != nil {
		// API types always encode, and a hash never fails to write.
		panic(fmt.Sprintf("encoding a pod's shape: %v", err))
	}
	return h.Sum32()
}

func containerShapes(containers []corev1.Container) []containerShape {
	shapes := make([]containerShape, len(containers))
	for i := range containers {
		c := &containers[i]
		shapes[i] = containerShape{Requests: c.Resources.Requests, Claims: c.Resources.Claims, Restart: c.RestartPolicy}
		for _, port := range c.Ports {
			if port.HostPort != 0 {
				shapes[i].Ports = append(shapes[i].Ports, port.HostPort)
			}
		}
	}
	return shapes
}
