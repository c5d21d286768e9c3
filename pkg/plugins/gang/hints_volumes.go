// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/component-helpers/storage/ephemeral"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/placement"
)

// The hints in this file are about volumes, and help only pods with volumes. They queue a
// pod if the object of the event has an unexpected type: the informer delivers another
// type for a deletion that it missed.

// isSchedulableAfterVolumeClaimChange queues a pod that uses the added or changed
// PersistentVolumeClaim. The cache of claims that the stock filter reads has an event
// handler of its own, so plans may see the claim later than the queue.
func (g *Gang) isSchedulableAfterVolumeClaimChange(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	claim, ok := newObj.(*v1.PersistentVolumeClaim)
	if !ok {
		return g.isSchedulableAfterEvent(logger, pod, oldObj, newObj)
	}
	helps := func(pod *v1.Pod) bool { return pod.Namespace == claim.Namespace && claimsVolume(pod, claim.Name) }
	return g.whereItHelps(pod, late(eventFor(helps, oldObj, newObj)))
}

// isSchedulableAfterVolumeChange queues a pod with volume claims after a PersistentVolume
// was added or changed. The cache of volumes that the stock filter reads has an event
// handler of its own, so plans may see the volume later than the queue.
func (g *Gang) isSchedulableAfterVolumeChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	return g.whereItHelps(pod, late(eventFor(placement.HasVolumeClaims, oldObj, newObj)))
}

// isSchedulableAfterStorageClassChange queues a pod with volume claims after a
// StorageClass was added or its allowed topologies changed. No other field that matters
// to pods can change.
func (g *Gang) isSchedulableAfterStorageClassChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, isUpdate := oldObj.(*storagev1.StorageClass)
	after, ok := newObj.(*storagev1.StorageClass)
	if ok && isUpdate && apiequality.Semantic.DeepEqual(before.AllowedTopologies, after.AllowedTopologies) {
		return fwk.QueueSkip, nil
	}
	return g.whereItHelps(pod, eventFor(placement.HasVolumeClaims, oldObj, newObj))
}

// isSchedulableAfterCSINodeChange queues a pod with CSI volumes after the drivers on a
// node changed.
func (g *Gang) isSchedulableAfterCSINodeChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	return g.whereItHelps(pod, eventFor(attachesVolumes, oldObj, newObj))
}

// isSchedulableAfterCSIDriverChange queues a pod with CSI volumes after a driver turned
// off a check: of storage capacity, or whether the driver is on the node.
func (g *Gang) isSchedulableAfterCSIDriverChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, isUpdate := oldObj.(*storagev1.CSIDriver)
	after, ok := newObj.(*storagev1.CSIDriver)
	if ok && isUpdate && !switchedOff(before.Spec.StorageCapacity, after.Spec.StorageCapacity) &&
		!switchedOff(before.Spec.PreventPodSchedulingIfMissing, after.Spec.PreventPodSchedulingIfMissing) {
		return fwk.QueueSkip, nil
	}
	return g.whereItHelps(pod, eventFor(attachesVolumes, oldObj, newObj))
}

func switchedOff(before, after *bool) bool {
	return before != nil && *before && (after == nil || !*after)
}

// isSchedulableAfterStorageCapacityChange queues a pod with volume claims if storage is
// new or allows larger volumes. Drivers also report the lower capacity after every new
// volume; that helps no pod.
func (g *Gang) isSchedulableAfterStorageCapacityChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, isUpdate := oldObj.(*storagev1.CSIStorageCapacity)
	after, ok := newObj.(*storagev1.CSIStorageCapacity)
	if ok && isUpdate && !larger(largestVolume(before), largestVolume(after)) {
		return fwk.QueueSkip, nil
	}
	return g.whereItHelps(pod, eventFor(placement.HasVolumeClaims, oldObj, newObj))
}

// largestVolume returns the size that the stock filter compares with a claim's request,
// nil for none.
func largestVolume(storage *storagev1.CSIStorageCapacity) *resource.Quantity {
	if storage.MaximumVolumeSize != nil {
		return storage.MaximumVolumeSize
	}
	return storage.Capacity
}

func larger(before, after *resource.Quantity) bool {
	return after != nil && (before == nil || after.Cmp(*before) > 0)
}

// isSchedulableAfterDetach queues a pod with CSI volumes after a volume was detached from
// a node.
func (g *Gang) isSchedulableAfterDetach(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	return g.whereItHelps(pod, eventFor(attachesVolumes, oldObj, newObj))
}

// attachesVolumes reports whether the pod has a volume that a CSI driver may attach or
// create: any type except those that kubelet fills itself, or mounts from the network or
// the node.
func attachesVolumes(pod *v1.Pod) bool {
	for i := range pod.Spec.Volumes {
		switch v := &pod.Spec.Volumes[i].VolumeSource; {
		case v.EmptyDir != nil, v.HostPath != nil, v.ConfigMap != nil, v.Secret != nil, v.Projected != nil,
			v.DownwardAPI != nil, v.Image != nil, v.NFS != nil:
		default:
			return true
		}
	}
	return false
}

// claimsVolume reports whether the pod uses this claim of its namespace, by name or
// through an ephemeral volume, for which the claim is created.
func claimsVolume(pod *v1.Pod, claim string) bool {
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		switch {
		case volume.PersistentVolumeClaim != nil && volume.PersistentVolumeClaim.ClaimName == claim,
			volume.Ephemeral != nil && ephemeral.VolumeClaimName(pod, volume) == claim:
			return true
		}
	}
	return false
}

// sharesVolume reports whether both pods use one volume claim, whose volume may allow
// only one pod at a time.
func sharesVolume(pod, other *v1.Pod) bool {
	if pod.Namespace != other.Namespace {
		return false
	}
	for i := range other.Spec.Volumes {
		if claim := other.Spec.Volumes[i].PersistentVolumeClaim; claim != nil && claimsVolume(pod, claim.ClaimName) {
			return true
		}
	}
	return false
}
