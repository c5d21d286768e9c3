// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// Signature identifies what a pod asks of its node: resources, host ports, devices, node
// selector, affinities, tolerations and topology spread constraints. The planner treats
// members of a role (pods with one task in a gang) with equal signatures alike. Labels,
// volumes and the names of resource claims are not part of it, because they differ between
// the members of many gangs.
type Signature uint64

// RoleSignature names the members of one role that have the same signature and for which
// a plan chose the same subrequests.
type RoleSignature struct {
	Role        string
	Signature   Signature
	Subrequests Subrequests
}

// Subrequests is the plan's choice for a pod whose claims have requests with alternatives
// (firstAvailable): "CLAIM/REQUEST/SUBREQUEST" for each such request, separated by spaces.
// CLAIM is the pod's name for the claim, so equal members have equal choices. It is empty if
// Kubernetes' own device allocator chooses.
type Subrequests string

// Has reports whether the subrequest is chosen.
func (s Subrequests) Has(claim, request, subrequest string) bool {
	return slices.Contains(strings.Fields(string(s)), claim+"/"+request+"/"+subrequest)
}

// SignatureOf computes the signature of a pod from its spec. It costs some microseconds.
func SignatureOf(pod *corev1.Pod) Signature {
	s := signer{}
	s.resources(pod)
	s.ports(pod)
	s.claims(pod)
	for _, key := range slices.Sorted(maps.Keys(pod.Spec.NodeSelector)) {
		s.text("selector", key, pod.Spec.NodeSelector[key])
	}
	if pod.Spec.Affinity != nil {
		s.message("affinity", pod.Spec.Affinity)
	}
	for i := range pod.Spec.Tolerations {
		s.message("toleration", &pod.Spec.Tolerations[i])
	}
	for i := range pod.Spec.TopologySpreadConstraints {
		s.message("spread", &pod.Spec.TopologySpreadConstraints[i])
	}
	return s.sum()
}

// signer collects the data of a pod whose hash is the signature.
type signer struct{ data []byte }

// text adds strings, each with its length before it.
func (s *signer) text(parts ...string) {
	for _, part := range parts {
		s.data = binary.AppendUvarint(s.data, uint64(len(part)))
		s.data = append(s.data, part...)
	}
}

// message adds an API object in its encoded form, which is the same for equal objects.
func (s *signer) message(name string, object interface{ Marshal() ([]byte, error) }) {
	encoded, err := object.Marshal()
	if err != nil {
		encoded = []byte(err.Error())
	}
	s.text(name, string(encoded))
}

func (s *signer) resources(pod *corev1.Pod) {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		amount := requests[name]
		s.text("resource", string(name), amount.String())
	}
}

// ports adds the host ports. The API server sets them for pods on the host network.
func (s *signer) ports(pod *corev1.Pod) {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			for _, port := range containers[i].Ports {
				if port.HostPort > 0 {
					s.text("port", string(port.Protocol), port.HostIP)
					s.data = binary.AppendVarint(s.data, int64(port.HostPort))
				}
			}
		}
	}
}

// claims adds the templates of the pod's resource claims, and how many claims the pod
// refers to by name. It leaves out these names because they differ between members.
func (s *signer) claims(pod *corev1.Pod) {
	for i := range pod.Spec.ResourceClaims {
		if template := pod.Spec.ResourceClaims[i].ResourceClaimTemplateName; template != nil {
			s.text("template", *template)
			continue
		}
		s.text("claim")
	}
}

func (s *signer) sum() Signature {
	h := fnv.New64a()
	h.Write(s.data) // never fails
	return Signature(max(h.Sum64(), 1))
}
