// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"fmt"
	"strings"

	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// request returns a request for one GPU for which the selectors hold.
func request(name string, selectors ...string) resourceapi.DeviceRequest {
	exactly := &resourceapi.ExactDeviceRequest{DeviceClassName: fleet.ClassGPU, AllocationMode: resourceapi.DeviceAllocationModeExactCount, Count: 1}
	for _, selector := range selectors {
		exactly.Selectors = append(exactly.Selectors, celSelector(selector))
	}
	return resourceapi.DeviceRequest{Name: name, Exactly: exactly}
}

func celSelector(expression string) resourceapi.DeviceSelector {
	return resourceapi.DeviceSelector{CEL: &resourceapi.CELDeviceSelector{Expression: expression}}
}

// requestClaim creates a claim with these requests.
func (a *attacker) requestClaim(name string, requests ...resourceapi.DeviceRequest) error {
	return a.createClaim(name, resourceapi.DeviceClaim{Requests: requests})
}

func (a *attacker) createClaim(name string, devices resourceapi.DeviceClaim) error {
	claim := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: resourceapi.ResourceClaimSpec{Devices: devices}}
	_, err := a.client.ResourceV1().ResourceClaims(a.namespace).Create(a.ctx, claim, metav1.CreateOptions{})
	return err
}

// podsWithClaims creates n pods, each with a claim of its own.
func (a *attacker) podsWithClaims(n int, requests func(i int) []resourceapi.DeviceRequest) {
	a.each(n, func(i int) error {
		name := fmt.Sprintf("p%d", i)
		if err := a.requestClaim(name, requests(i)...); err != nil {
			return err
		}
		return a.create(a.pod(name, using(name)))
	})
}

// costlySelectors has 4 requests of 4 selectors in each claim. Each selector needs 90,000
// additions for a device, about 70% of the cost that the API server admits.
func costlySelectors(a *attacker) {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 300), ",") + "]"
	a.podsWithClaims(max(a.size/50, 2), func(i int) []resourceapi.DeviceRequest {
		var requests []resourceapi.DeviceRequest
		for r := range 4 {
			var selectors []string
			for s := range 4 {
				selectors = append(selectors, fmt.Sprintf(
					`!%[1]s.exists(x, %[1]s.exists(y, x + y == 5)) && device.attributes["gpu.nvidia.com"].uuid != "%[2]d-%[3]d-%[4]d"`, list, i, r, s))
			}
			requests = append(requests, request(fmt.Sprintf("r%d", r), selectors...))
		}
		return requests
	})
}

// differentSelectors has selectors that no claim has in common with another.
func differentSelectors(a *attacker) {
	a.podsWithClaims(a.size, func(i int) []resourceapi.DeviceRequest {
		return []resourceapi.DeviceRequest{request("r", fmt.Sprintf(`device.attributes["gpu.nvidia.com"].uuid != "%d"`, i))}
	})
}

// longSelectors has ten requests of ten selectors of almost 10 KiB, the API server's limit.
func longSelectors(a *attacker) {
	a.podsWithClaims(max(a.size/50, 2), func(i int) []resourceapi.DeviceRequest {
		var requests []resourceapi.DeviceRequest
		for r := range 10 {
			var selectors []string
			for s := range 10 {
				selectors = append(selectors, fmt.Sprintf(`device.driver != "%d-%d-%d-%s"`, i, r, s, strings.Repeat("x", 10_000)))
			}
			requests = append(requests, request(fmt.Sprintf("r%d", r), selectors...))
		}
		return requests
	})
}

// failingSelectors read an attribute that no device has, which is an error of the evaluation.
func failingSelectors(a *attacker) {
	a.podsWithClaims(a.size, func(i int) []resourceapi.DeviceRequest {
		return []resourceapi.DeviceRequest{request("r", fmt.Sprintf(`device.attributes["gpu.nvidia.com"].absent%d == "x"`, i))}
	})
}
