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

// claimKey identifies a ResourceClaim as pods name it.
type claimKey struct{ namespace, name string }

func (k claimKey) String() string { return k.namespace + "/" + k.name }

// deviceID identifies a device in the cluster.
type deviceID struct{ driver, pool, name string }

func (d deviceID) String() string { return d.driver + "/" + d.pool + "/" + d.name }

// poolID identifies the slices that belong together.
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
	// allocated is when the checker first saw its present allocation.
	allocated time.Time
	// heldSince is since when a pod without a node has had it, for I4.
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

func hadDevice(was *resourceapi.ResourceClaim, device deviceID) bool {
	return was != nil && slices.ContainsFunc(results(was), func(r resourceapi.DeviceRequestAllocationResult) bool {
		return deviceOf(r) == device
	})
}

func poolOf(s *resourceapi.ResourceSlice) poolID {
	return poolID{s.Spec.Driver, s.Spec.Pool.Name}
}

// claimNames lists the claims that a pod uses, generated ones by their real names.
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

// reservedFor says whether the claim is reserved for the pod, or for all pods of its
// PodGroup, which pods know by name only.
func reservedFor(c *resourceapi.ResourceClaim, pod *v1.Pod) bool {
	return slices.ContainsFunc(c.Status.ReservedFor, func(r resourceapi.ResourceClaimConsumerReference) bool {
		group := pod.Spec.SchedulingGroup
		return r.UID == pod.UID || isPodGroup(r) && group != nil && group.PodGroupName != nil && *group.PodGroupName == r.Name
	})
}

func isPodGroup(r resourceapi.ResourceClaimConsumerReference) bool {
	return r.APIGroup == schedulingv1beta1.GroupName && r.Resource == "podgroups"
}

// offersDevice says whether a slice gives a node access to one of its devices.
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

// selects says whether a node selector, or none at all, takes a node.
func selects(selector *v1.NodeSelector, node *v1.Node) bool {
	if selector == nil {
		return true
	}
	parsed, err := nodeaffinity.NewNodeSelector(selector)
	return err == nil && parsed.Match(node)
}

// ownerPod is the uid of the pod that a claim was made for from a template.
func ownerPod(c *resourceapi.ResourceClaim) types.UID {
	if owner := metav1.GetControllerOf(c); owner != nil && owner.Kind == "Pod" {
		return owner.UID
	}
	return ""
}

// waitsForDevices says whether a device of the claim must become ready first.
func waitsForDevices(c *claim) bool {
	for _, result := range results(c.object) {
		if len(result.BindingConditions) > 0 {
			return true
		}
	}
	return false
}
