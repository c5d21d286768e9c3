// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AllocateOn allocates the first device of a driver on a node to the first request of a claim,
// and reserves the claim for the users. A scheduler that dies, or whose binding fails, leaves a
// claim like this.
func (e *Env) AllocateOn(claimName, driver, node string, users ...resourceapi.ResourceClaimConsumerReference) {
	e.Helper()
	slices, err := e.Client.ResourceV1().ResourceSlices().List(e.Context(), metav1.ListOptions{
		FieldSelector: resourceapi.ResourceSliceSelectorNodeName + "=" + node + "," + resourceapi.ResourceSliceSelectorDriver + "=" + driver,
	})
	if err != nil || len(slices.Items) == 0 {
		e.Fatalf("reading the devices of %s on node %s: %d slices, %v", driver, node, len(slices.Items), err)
	}
	claims := e.Client.ResourceV1().ResourceClaims(e.Namespace)
	claim, err := claims.Get(e.Context(), claimName, metav1.GetOptions{})
	if err != nil {
		e.Fatal(err)
	}
	claim.Finalizers = append(claim.Finalizers, resourceapi.Finalizer)
	if claim, err = claims.Update(e.Context(), claim, metav1.UpdateOptions{}); err != nil {
		e.Fatal(err)
	}
	published := slices.Items[0].Spec
	// Schedulers write the allocation time. To an allocation without a time they would add one,
	// which the API server refuses.
	now := metav1.Now()
	claim.Status.Allocation = &resourceapi.AllocationResult{
		AllocationTimestamp: &now,
		Devices: resourceapi.DeviceAllocationResult{Results: []resourceapi.DeviceRequestAllocationResult{{
			Request: claim.Spec.Devices.Requests[0].Name, Driver: driver, Pool: published.Pool.Name, Device: published.Devices[0].Name,
		}}},
		NodeSelector: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
		}}},
	}
	claim.Status.ReservedFor = users
	if _, err := claims.UpdateStatus(e.Context(), claim, metav1.UpdateOptions{}); err != nil {
		e.Fatalf("allocating claim %s: %v", claimName, err)
	}
}
