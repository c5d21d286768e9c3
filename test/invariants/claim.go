// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// claimKey identifies a ResourceClaim by the name that pods use.
type claimKey struct{ namespace, name string }

func (k claimKey) String() string { return k.namespace + "/" + k.name }

// deviceID identifies a device in the cluster.
type deviceID struct{ driver, pool, name string }

func (d deviceID) String() string { return d.driver + "/" + d.pool + "/" + d.name }

// poolID identifies the slices of one pool.
type poolID struct{ driver, pool string }

// deviceUse is one appearance of a device in the allocation of a claim.
type deviceUse struct {
	claim  claimKey
	shared bool
	since  time.Time
}

// claim is a ResourceClaim as last seen.
type claim struct {
	object *resourceapi.ResourceClaim
	// allocated is the time at which the checker first saw the claim's present allocation.
	allocated time.Time
	// heldSince is the time since which a pod without a node holds it, for I4 (waiting pods
	// hold nothing).
	heldSince time.Time
	reported  bool
}

func results(c *resourceapi.ResourceClaim) []resourceapi.DeviceRequestAllocationResult {
	if c.Status.Allocation == nil {
		return nil
	}
	return c.Status.Allocation.Devices.Results
}

func deviceOf(result resourceapi.DeviceRequestAllocationResult) deviceID {
	return deviceID{result.Driver, result.Pool, result.Device}
}

func poolOf(s *resourceapi.ResourceSlice) poolID {
	return poolID{s.Spec.Driver, s.Spec.Pool.Name}
}

// claimNames lists the names of a pod's claims, including generated claims.
func claimNames(pod *v1.Pod) []string {
	generated := map[string]*string{}
	for _, status := range pod.Status.ResourceClaimStatuses {
		generated[status.Name] = status.ResourceClaimName
	}
	var names []string
	for _, reference := range pod.Spec.ResourceClaims {
		name := reference.ResourceClaimName
		if name == nil {
			name = generated[reference.Name]
		}
		if name != nil {
			names = append(names, *name)
		}
	}
	if status := pod.Status.ExtendedResourceClaimStatus; status != nil {
		names = append(names, status.ResourceClaimName)
	}
	return names
}

// reservedFor reports whether the claim is reserved for the pod or for its PodGroup.
// A pod refers to its PodGroup by name, without a UID.
func reservedFor(c *resourceapi.ResourceClaim, pod *v1.Pod) bool {
	return slices.ContainsFunc(c.Status.ReservedFor, func(r resourceapi.ResourceClaimConsumerReference) bool {
		group := pod.Spec.SchedulingGroup
		return r.UID == pod.UID || isPodGroup(r) && group != nil && group.PodGroupName != nil && *group.PodGroupName == r.Name
	})
}

func isPodGroup(r resourceapi.ResourceClaimConsumerReference) bool {
	return r.APIGroup == schedulingv1beta1.GroupName && r.Resource == "podgroups"
}

// offersDevice reports whether a slice gives a node access to the device.
func offersDevice(spec *resourceapi.ResourceSliceSpec, device *resourceapi.Device, node *v1.Node) bool {
	where := spec
	if spec.PerDeviceNodeSelection != nil && *spec.PerDeviceNodeSelection {
		where = &resourceapi.ResourceSliceSpec{NodeName: device.NodeName, NodeSelector: device.NodeSelector, AllNodes: device.AllNodes}
	}
	switch {
	case where.NodeName != nil && *where.NodeName != "":
		return *where.NodeName == node.Name
	case where.AllNodes != nil && *where.AllNodes:
		return true
	}
	return where.NodeSelector != nil && selects(where.NodeSelector, node)
}

// selects reports whether a node selector matches a node; nil matches every node.
func selects(selector *v1.NodeSelector, node *v1.Node) bool {
	if selector == nil {
		return true
	}
	parsed, err := nodeaffinity.NewNodeSelector(selector)
	return err == nil && parsed.Match(node)
}

// ownerPod returns the UID of the pod for which a claim was created from a template.
func ownerPod(c *resourceapi.ResourceClaim) types.UID {
	if owner := metav1.GetControllerOf(c); owner != nil && owner.Kind == "Pod" {
		return owner.UID
	}
	return ""
}

// waitsForDevices reports whether a device of the claim has binding conditions.
func waitsForDevices(c *claim) bool {
	for _, result := range results(c.object) {
		if len(result.BindingConditions) > 0 {
			return true
		}
	}
	return false
}
