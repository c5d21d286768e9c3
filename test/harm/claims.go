// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// differentRequests asks for other numbers of devices, under other names, in each claim.
func differentRequests(a *attacker) {
	a.podsWithClaims(a.many, func(i int) []resourceapi.DeviceRequest {
		first, second := request(fmt.Sprintf("a%d", i)), request(fmt.Sprintf("b%d", i))
		first.Exactly.Count, second.Exactly.Count = int64(i%7+1), int64(i/7%16+1)
		second.Exactly.DeviceClassName = fleet.ClassRDMA
		return []resourceapi.DeviceRequest{first, second}
	})
}

// exhaustiveSearch has pods with claims of which no combination of devices fits, which an
// allocator sees only after it has tried all.
func exhaustiveSearch(a *attacker) { a.searchingPods(max(a.size/50, 2)) }

// exhaustiveGangs has gangs of four with such claims.
func exhaustiveGangs(a *attacker) {
	a.searchingPods(max(a.size/100, 1)*4, func(pod *corev1.Pod) {
		gang, _, _ := strings.Cut(pod.Name, "-")
		inGang(gang, 4)(pod)
	})
}

// searchingPods creates pods that ask for eight NICs, which can be had in 40,320 orders, and for
// groups of three, three and two GPUs. The GPUs of a group must share a NUMA node, and a node
// has four GPUs on each of two. Any two of the groups fit.
func (a *attacker) searchingPods(n int, options ...podOption) {
	numa := resourceapi.FullyQualifiedName("resource.kubernetes.io/numaNode")
	devices := resourceapi.DeviceClaim{}
	for r := range 8 {
		nic := request(fmt.Sprintf("nic%d", r))
		nic.Exactly.DeviceClassName = fleet.ClassRDMA
		devices.Requests = append(devices.Requests, nic)
	}
	for group, members := range []int{3, 3, 2} {
		var names []string
		for r := range members {
			names = append(names, fmt.Sprintf("gpu%d-%d", group, r))
			devices.Requests = append(devices.Requests, request(names[r]))
		}
		devices.Constraints = append(devices.Constraints, resourceapi.DeviceConstraint{Requests: names, MatchAttribute: &numa})
	}
	a.each(n, func(i int) error {
		name := fmt.Sprintf("p%d-%d", i/4, i%4)
		if err := a.createClaim(name, devices); err != nil {
			return err
		}
		return a.create(a.pod(name, append(options, using(name))...))
	})
}

// manyAlternatives has eight requests of eight alternatives, of which only the last can be met.
func manyAlternatives(a *attacker) {
	a.podsWithClaims(max(a.size/10, 2), func(i int) []resourceapi.DeviceRequest {
		var requests []resourceapi.DeviceRequest
		for r := range 8 {
			wish := resourceapi.DeviceRequest{Name: fmt.Sprintf("r%d", r)}
			for s := range 8 {
				alternative := resourceapi.DeviceSubRequest{
					Name: fmt.Sprintf("s%d", s), DeviceClassName: fleet.ClassGPU,
					AllocationMode: resourceapi.DeviceAllocationModeExactCount, Count: int64(9 - s),
				}
				alternative.Selectors = []resourceapi.DeviceSelector{celSelector(fmt.Sprintf(`device.driver != "%d"`, i%20))}
				wish.FirstAvailable = append(wish.FirstAvailable, alternative)
			}
			requests = append(requests, wish)
		}
		return requests
	})
}

// sharedClaim has pods that share a claim, which at most 256 pods can use at the same time.
func sharedClaim(a *attacker) {
	a.count(a.requestClaim("shared", request("r")))
	a.pods(a.size, func(i int) *corev1.Pod { return a.pod(fmt.Sprintf("p%d", i), using("shared")) })
}

// churnedClaims creates and deletes claims under pods that use them.
func churnedClaims(a *attacker) {
	a.pods(writers, func(i int) *corev1.Pod { return a.pod(fmt.Sprintf("p%d", i), using(fmt.Sprintf("c%d", i)), impossible) })
	claims := a.client.ResourceV1().ResourceClaims(a.namespace)
	a.repeat(writers, 0, func(i, _ int) error {
		name := fmt.Sprintf("c%d", i)
		if err := a.requestClaim(name, request("r")); err != nil {
			return err
		}
		return claims.Delete(a.ctx, name, metav1.DeleteOptions{})
	})
}

// missingClaims has members of gangs whose claims do not exist, or exist for a moment.
func missingClaims(a *attacker) {
	a.pods(a.size, func(i int) *corev1.Pod {
		return a.pod(fmt.Sprintf("p%d", i), inGang(fmt.Sprintf("g%d", i/4), 4), using(fmt.Sprintf("absent-%d", i)))
	})
	claims := a.client.ResourceV1().ResourceClaims(a.namespace)
	a.repeat(4, 50*time.Millisecond, func(i, _ int) error {
		name := fmt.Sprintf("absent-%d", i)
		if err := a.requestClaim(name, request("r")); err != nil {
			return err
		}
		return claims.Delete(a.ctx, name, metav1.DeleteOptions{})
	})
}
