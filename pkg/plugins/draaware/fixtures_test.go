// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// podWith returns a pod with the claims.
func podWith(name string, claims ...*resourceapi.ResourceClaim) *v1.Pod {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name), Annotations: map[string]string{}},
		Spec:       v1.PodSpec{Containers: []v1.Container{{Name: "main"}}},
	}
	for i, claim := range claims {
		ref := v1.PodResourceClaim{Name: fmt.Sprintf("claim-%d", i), ResourceClaimName: ptr.To(claim.Name)}
		pod.Spec.ResourceClaims = append(pod.Spec.ResourceClaims, ref)
	}
	return pod
}

// extended adds extended resources to a pod.
func extended(pod *v1.Pod, name v1.ResourceName, count int64) *v1.Pod {
	list := v1.ResourceList{name: *resource.NewQuantity(count, resource.DecimalSI)}
	pod.Spec.Containers[0].Resources = v1.ResourceRequirements{Requests: list, Limits: list}
	return pod
}

// claim returns a claim with a request for each "count class".
func claim(name string, wants ...string) *resourceapi.ResourceClaim {
	c := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID("claim-" + name)}}
	for i, want := range wants {
		var count int64
		var class string
		if _, err := fmt.Sscanf(want, "%d %s", &count, &class); err != nil {
			panic(fmt.Sprintf("claim %s: %q: %v", name, want, err))
		}
		c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, resourceapi.DeviceRequest{
			Name: fmt.Sprintf("%s-%d", strings.ReplaceAll(class, ".", "-"), i),
			Exactly: &resourceapi.ExactDeviceRequest{
				DeviceClassName: class, Count: count, AllocationMode: resourceapi.DeviceAllocationModeExactCount,
			},
		})
	}
	return c
}

// holding returns a claim with the given devices of the first node allocated.
func holding(name string, devices ...string) *resourceapi.ResourceClaim {
	c := claim(name)
	c.Status.Allocation = &resourceapi.AllocationResult{}
	for _, device := range devices {
		driver := fleet.DriverGPU
		if strings.HasPrefix(device, "pci-") {
			driver = fleet.DriverNIC
		}
		c.Status.Allocation.Devices.Results = append(c.Status.Allocation.Devices.Results,
			resourceapi.DeviceRequestAllocationResult{Request: "any", Driver: driver, Pool: firstNode(), Device: device})
	}
	return c
}

// firstNode returns the name of the first node of any fleet of ND H100 v5 machines.
func firstNode() string {
	spec, err := fleet.Parse("shape=ndh100v5,spines=1,leaves=1,nodes=1")
	if err != nil {
		panic(err)
	}
	for node := range spec.All() {
		return node.Name()
	}
	return ""
}

// nic returns the name of the NIC paired with GPU i.
func nic(i int) string { return fmt.Sprintf("pci-010%d-00-00-0", i+1) }

// halfTaken returns claims for the first four GPUs of every node but the first.
func halfTaken(t testing.TB, fleetText string) (objects []runtime.Object) {
	t.Helper()
	spec, err := fleet.Parse(fleetText)
	if err != nil {
		t.Fatal(err)
	}
	for node := range spec.All() {
		c := holding("on-"+node.Name(), "gpu-0", "gpu-1", "gpu-2", "gpu-3")
		for i := range c.Status.Allocation.Devices.Results {
			c.Status.Allocation.Devices.Results[i].Pool = node.Name()
		}
		objects = append(objects, c)
	}
	return objects[1:]
}
