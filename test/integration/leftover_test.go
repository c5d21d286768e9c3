// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// A binding that failed leaves devices in a member's claim, on a node that has no room any
// more. The member gives them back, and its gang runs elsewhere.
func TestClaimOfAFormerPlanIsGivenBack(t *testing.T) {
	e := onGPUs(t)
	node := e.nodeNames(1)[0]
	filler := newPod("filler", asking("90", "1Gi"))
	filler.Spec.NodeName = node
	e.createPods(filler)
	for i, claim := range []string{"left", "fresh"} {
		e.sharedClaim(claim, 1)
		if i == 0 {
			e.leaveAllocated(claim, node)
		}
	}
	e.podGroup("train", 2, nil)
	pods := members("train", 2, asking("20", "1Gi"))
	naming("left")(pods[0])
	naming("fresh")(pods[1])
	e.createPods(pods...)
	e.Whole(groupLabel+"=train", 2)
	if got := e.Domains(groupLabel+"=train", corev1.LabelHostname); got[node] > 0 {
		t.Errorf("the gang is on %v, and %s has no room", got, node)
	}
}

// leaveAllocated gives a claim for one GPU the first GPU of a node, as the scheduler does
// before it binds a pod.
func (e *env) leaveAllocated(name, node string) {
	e.Helper()
	slices, err := e.Client.ResourceV1().ResourceSlices().List(e.Context(), metav1.ListOptions{
		FieldSelector: resourceapi.ResourceSliceSelectorNodeName + "=" + node + "," + resourceapi.ResourceSliceSelectorDriver + "=" + fleet.DriverGPU,
	})
	if err != nil || len(slices.Items) == 0 {
		e.Fatalf("reading the GPUs of node %s: %d slices, %v", node, len(slices.Items), err)
	}
	claim, err := e.Client.ResourceV1().ResourceClaims(e.Namespace).Get(e.Context(), name, metav1.GetOptions{})
	if err != nil {
		e.Fatal(err)
	}
	claim.Finalizers = append(claim.Finalizers, resourceapi.Finalizer)
	if claim, err = e.Client.ResourceV1().ResourceClaims(e.Namespace).Update(e.Context(), claim, metav1.UpdateOptions{}); err != nil {
		e.Fatal(err)
	}
	pool := slices.Items[0].Spec
	claim.Status.Allocation = &resourceapi.AllocationResult{
		Devices: resourceapi.DeviceAllocationResult{Results: []resourceapi.DeviceRequestAllocationResult{{
			Request: "gpus", Driver: pool.Driver, Pool: pool.Pool.Name, Device: pool.Devices[0].Name,
		}}},
		NodeSelector: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
		}}},
	}
	if _, err := e.Client.ResourceV1().ResourceClaims(e.Namespace).UpdateStatus(e.Context(), claim, metav1.UpdateOptions{}); err != nil {
		e.Fatalf("allocating claim %s: %v", name, err)
	}
}
