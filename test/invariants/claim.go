// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
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

// use is one appearance of a device in the allocation of a claim.
type use struct {
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
	accused   bool
}

// claimChanged takes in one event of the claim watch and judges at once whether
// a device is given away twice: writes of claims arrive in their order.
func (j *judge) claimChanged(was, is *resourceapi.ResourceClaim, now time.Time) {
	if was != nil {
		j.release(was)
	}
	if is == nil {
		delete(j.claims, claimKey{was.Namespace, was.Name})
		return
	}
	key := claimKey{is.Namespace, is.Name}
	known := j.claims[key]
	if known == nil || known.object.UID != is.UID {
		known = &claim{}
		j.claims[key] = known
	}
	switch {
	case is.Status.Allocation == nil:
		known.allocated = time.Time{}
	case known.allocated.IsZero():
		known.allocated = now
	}
	known.object = is
	j.take(known, was, now)
}

// release gives back the devices of a claim's former state.
func (j *judge) release(was *resourceapi.ResourceClaim) {
	key := claimKey{was.Namespace, was.Name}
	for _, result := range results(was) {
		device := deviceOf(result)
		j.users[device] = slices.DeleteFunc(j.users[device], func(u use) bool { return u.claim == key })
		if len(j.users[device]) == 0 {
			delete(j.users, device)
		}
	}
}

// take records the devices of a claim's present state and reports a device that
// somebody has already, unless the former state of the claim had it as well.
func (j *judge) take(c *claim, was *resourceapi.ResourceClaim, now time.Time) {
	key := claimKey{c.object.Namespace, c.object.Name}
	for _, result := range results(c.object) {
		if result.AdminAccess != nil && *result.AdminAccess {
			continue
		}
		device := deviceOf(result)
		mine := use{claim: key, shared: result.ShareID != nil, since: c.allocated}
		for _, other := range j.users[device] {
			if (!mine.shared || !other.shared) && !had(was, device) {
				j.reportTwice(device, mine, other, now)
			}
		}
		j.users[device] = append(j.users[device], mine)
	}
}

func (j *judge) reportTwice(device deviceID, mine, other use, now time.Time) {
	j.report(NothingTwice, now, fmt.Sprintf("device %s is allocated to claim %s and to claim %s", device, other.claim, mine.claim), []string{
		fmt.Sprintf("claim %s: allocated at %s, %s", other.claim, clock(other.since), j.reservation(other.claim)),
		fmt.Sprintf("claim %s: allocated at %s, %s", mine.claim, clock(mine.since), j.reservation(mine.claim)),
	})
}

func (j *judge) reservation(key claimKey) string {
	var names []string
	if c := j.claims[key]; c != nil {
		for _, consumer := range c.object.Status.ReservedFor {
			names = append(names, consumer.Name)
		}
	}
	if len(names) == 0 {
		return "reserved for nobody"
	}
	return "reserved for " + joined(names)
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

func had(was *resourceapi.ResourceClaim, device deviceID) bool {
	return was != nil && slices.ContainsFunc(results(was), func(r resourceapi.DeviceRequestAllocationResult) bool {
		return deviceOf(r) == device
	})
}

// sliceChanged takes in one event of the ResourceSlice watch.
func (j *judge) sliceChanged(was, is *resourceapi.ResourceSlice, _ time.Time) {
	if was != nil {
		delete(j.offered[poolOf(was)], was.UID)
	}
	if is == nil {
		return
	}
	if j.offered[poolOf(is)] == nil {
		j.offered[poolOf(is)] = map[types.UID]*resourceapi.ResourceSlice{}
	}
	j.offered[poolOf(is)][is.UID] = is
}

func poolOf(s *resourceapi.ResourceSlice) poolID {
	return poolID{s.Spec.Driver, s.Spec.Pool.Name}
}

// claimsRefusal says what is wrong with the claims of a bound pod.
func (j *judge) claimsRefusal(pod *v1.Pod) string {
	if current := j.pods[pod.UID]; current != nil {
		pod = current
	}
	for _, name := range claimNames(pod) {
		if why := j.claimRefusal(pod, claimKey{pod.Namespace, name}); why != "" {
			return fmt.Sprintf("with claim %s, which %s", name, why)
		}
	}
	return ""
}

func (j *judge) claimRefusal(pod *v1.Pod, key claimKey) string {
	c := j.claims[key]
	switch {
	case c == nil:
		return "does not exist"
	case c.object.Status.Allocation == nil:
		return "is not allocated"
	case !reservedFor(c.object, pod):
		return "is not reserved for the pod"
	}
	history := j.nodes[pod.Spec.NodeName]
	if history == nil || len(history.versions) == 0 {
		return "" // The missing node is judged elsewhere.
	}
	node := history.versions[len(history.versions)-1].node
	if !selects(c.object.Status.Allocation.NodeSelector, node) {
		return "is allocated for other nodes"
	}
	for _, result := range results(c.object) {
		if !j.reachable(deviceOf(result), node) {
			return fmt.Sprintf("has device %s, which no ResourceSlice offers on that node", deviceOf(result))
		}
	}
	return ""
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

// reachable says whether a slice offers the device on the node.
func (j *judge) reachable(device deviceID, node *v1.Node) bool {
	for _, s := range j.offered[poolID{device.driver, device.pool}] {
		for i := range s.Spec.Devices {
			if s.Spec.Devices[i].Name == device.name && offers(&s.Spec, &s.Spec.Devices[i], node) {
				return true
			}
		}
	}
	return false
}

// offers says whether a slice gives a node access to one of its devices.
func offers(spec *resourceapi.ResourceSliceSpec, device *resourceapi.Device, node *v1.Node) bool {
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
