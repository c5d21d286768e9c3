// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// The device classes of scenes. Each node has eight devices of each.
const (
	fleetGPU = fleet.ClassGPU
	fleetNIC = fleet.ClassRDMA
)

// alternative is so many devices of a class.
type alternative struct {
	class string
	count int64
}

// exactly is a request for devices without alternatives.
func exactly(class string, count int64) resourceapi.DeviceRequest {
	return resourceapi.DeviceRequest{Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: class, Count: count}}
}

// first is a request for the first of some alternatives.
func first(alternatives ...alternative) resourceapi.DeviceRequest {
	request := resourceapi.DeviceRequest{}
	for i, a := range alternatives {
		request.FirstAvailable = append(request.FirstAvailable, resourceapi.DeviceSubRequest{
			Name: fmt.Sprintf("choice-%d", i), DeviceClassName: a.class, Count: a.count,
		})
	}
	return request
}

func specOf(requests []resourceapi.DeviceRequest) resourceapi.ResourceClaimSpec {
	spec := resourceapi.ResourceClaimSpec{}
	for i, request := range requests {
		request.Name = fmt.Sprintf("devices-%d", i)
		spec.Devices.Requests = append(spec.Devices.Requests, request)
	}
	return spec
}

// template creates a claim template.
func template(name string, requests ...resourceapi.DeviceRequest) step {
	return func(s *stage) {
		s.Helper()
		object := &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: name}}
		object.Spec.Spec = specOf(requests)
		if _, err := s.Client.ResourceV1().ResourceClaimTemplates(s.Namespace).Create(s.Context(), object, metav1.CreateOptions{}); err != nil {
			s.Fatalf("creating claim template %s: %v", name, err)
		}
	}
}

// deviceClaim creates a claim that pods name.
func deviceClaim(name string, requests ...resourceapi.DeviceRequest) step {
	return func(s *stage) {
		s.Helper()
		object := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: specOf(requests)}
		if _, err := s.Client.ResourceV1().ResourceClaims(s.Namespace).Create(s.Context(), object, metav1.CreateOptions{}); err != nil {
			s.Fatalf("creating claim %s: %v", name, err)
		}
	}
}

// left creates a claim for a GPU that a former plan has allocated on a node.
func left(name string, node int) step {
	return func(s *stage) {
		s.Helper()
		deviceClaim(name, exactly(fleetGPU, 1))(s)
		s.AllocateOn(name, fleet.DriverGPU, nodeName(node))
	}
}

// claims gives a pod a claim of a template.
func claims(template string) option {
	return func(_ *stage, p *corev1.Pod) {
		claimOf(p, corev1.PodResourceClaim{Name: template, ResourceClaimTemplateName: &template})
	}
}

// uses gives a pod a claim that exists.
func uses(claim string) option {
	return func(_ *stage, p *corev1.Pod) {
		claimOf(p, corev1.PodResourceClaim{Name: claim, ResourceClaimName: &claim})
	}
}

func claimOf(p *corev1.Pod, claim corev1.PodResourceClaim) {
	p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, claim)
	p.Spec.Containers[0].Resources.Claims = append(p.Spec.Containers[0].Resources.Claims, corev1.ResourceClaim{Name: claim.Name})
}

// devices checks how many devices each member has, fewest first.
func devices(want ...int) step {
	return func(s *stage) {
		s.Helper()
		var got []int
		for _, pod := range s.Pods(ofGang) {
			n := 0
			for _, status := range pod.Status.ResourceClaimStatuses {
				claim, err := s.Client.ResourceV1().ResourceClaims(s.Namespace).Get(s.Context(), *status.ResourceClaimName, metav1.GetOptions{})
				if err != nil || claim.Status.Allocation == nil {
					s.Fatalf("claim %s of bound pod %s has no devices: %v", *status.ResourceClaimName, pod.Name, err)
				}
				n += len(claim.Status.Allocation.Devices.Results)
			}
			got = append(got, n)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			s.Errorf("the members have %v devices, want %v", got, want)
		}
	}
}

var leftoverScenes = []scene{
	{
		name:    "two members give back devices on two nodes without room",
		sources: twoSources,
		given:   []step{running("full-a", 0, cpu(90)), running("full-b", 5, cpu(90)), left("a", 0), left("b", 5)},
		gang:    []role{single("first", cpu(20), uses("a")), single("second", cpu(20), uses("b"))},
		check:   []step{within(1, 2, 3, 4, 6, 7)},
	},
	{
		name:  "a member gives back devices on a cordoned node",
		given: []step{left("a", 3), cordoned(3)},
		gang:  []role{single("first", large, uses("a")), single("second", large)},
		check: []step{within(0, 1, 2, 4, 5, 6, 7)},
	},
	{
		name:  "a member gives back devices on a node whose host port is taken",
		given: []step{running("exporter", 6, port(9000)), left("a", 6)},
		gang:  []role{single("first", port(9000), uses("a")), many("second", 3, port(9000))},
		check: []step{counts(host, 1, 1, 1, 1), within(0, 1, 2, 3, 4, 5, 7)},
	},
	{
		name:  "a member gives back devices on a node that its node selector excludes",
		given: []step{left("a", 2)},
		gang:  []role{single("first", selecting(spine, "h-s2"), uses("a")), single("second", selecting(spine, "h-s2"))},
		check: []step{within(4, 5, 6, 7)},
	},
	{
		name:  "devices of a former plan on a node with room for the gang are kept",
		given: []step{left("a", 7)},
		gang:  []role{single("first", large, uses("a")), single("second", cpu(8))},
		check: []step{stand("first", 7), stand("second", 7)},
	},
	{
		name:  "devices of a former plan on a node with room for one of two members",
		given: []step{left("a", 7)},
		gang:  []role{single("first", large, uses("a")), single("second", large)},
		check: []step{counts(host, 1, 1)},
	},
	{
		name:  "every member has devices of a former plan, and one of the nodes is full",
		given: []step{left("a", 1), left("b", 2), left("c", 3), running("full", 2, cpu(90))},
		gang:  []role{single("first", cpu(20), uses("a")), single("second", cpu(20), uses("b")), single("third", cpu(20), uses("c"))},
		check: []step{within(0, 1, 3, 4, 5, 6, 7)},
	},
}

// gpus are eight or four GPUs.
var gpus = first(alternative{fleetGPU, 8}, alternative{fleetGPU, 4})

var alternativeScenes = []scene{
	{
		name:    "two members on two nodes take all devices",
		sources: everySource[:2],
		given:   []step{template("gpus", gpus)},
		gang:    []role{many("worker", 2, claims("gpus"), hosts(0, 1))},
		check:   []step{devices(8, 8)},
	},
	{
		name:    "three members share two nodes",
		sources: everySource[:2],
		given:   []step{template("gpus", gpus)},
		gang:    []role{many("worker", 3, claims("gpus"), hosts(2, 3))},
		check:   []step{devices(4, 4, 8)},
	},
	{
		name:  "four members take the second alternative each",
		given: []step{template("gpus", gpus)},
		gang:  []role{many("worker", 4, claims("gpus"), hosts(4, 5))},
		check: []step{devices(4, 4, 4, 4)},
	},
	{
		name:    "five members do not fit by the smallest alternative",
		given:   []step{template("gpus", gpus)},
		gang:    []role{many("worker", 5, claims("gpus"), hosts(6, 7))},
		refused: "4 of 5 members fit",
	},
	{
		name:  "five members with three alternatives",
		given: []step{template("gpus", first(alternative{fleetGPU, 8}, alternative{fleetGPU, 4}, alternative{fleetGPU, 2}))},
		gang:  []role{many("worker", 5, claims("gpus"), hosts(0, 1))},
	},
	{
		name:  "two requests with alternatives in one claim",
		given: []step{template("pairs", gpus, first(alternative{fleetNIC, 8}, alternative{fleetNIC, 4}))},
		gang:  []role{many("worker", 4, claims("pairs"), hosts(2, 3))},
		check: []step{devices(8, 8, 8, 8)},
	},
	{
		name:  "the other class leaves the first one to members that need it",
		given: []step{template("either", first(alternative{fleetGPU, 1}, alternative{fleetNIC, 1})), template("all", exactly(fleetGPU, 8))},
		gang:  []role{many("small", 2, claims("either"), hosts(4, 5)), many("big", 2, claims("all"), hosts(4, 5))},
		check: []step{devices(1, 1, 8, 8)},
	},
	{
		name:  "three members beside one that has half a node's devices",
		given: []step{template("gpus", gpus), template("half", exactly(fleetGPU, 4))},
		gang:  []role{single("half", claims("half"), hosts(7)), many("worker", 3, claims("gpus"), hosts(6, 7))},
		check: []step{devices(4, 4, 4, 4)},
	},
	{
		name:  "alternatives and anti-affinity: one member for each node takes all devices",
		given: []step{template("gpus", gpus)},
		gang:  []role{many("worker", 4, claims("gpus"), apart(host, gangLabel, gangName))},
		check: []step{devices(8, 8, 8, 8), counts(host, 1, 1, 1, 1)},
	},
}
