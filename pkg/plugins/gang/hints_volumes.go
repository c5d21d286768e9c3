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
)

// The hints in this file are about volumes, and concern pods with volumes alone. They queue a
// pod if the object of the event is not of the kind that they read: the informer delivers
// another one for a deletion that it missed.

// isSchedulableAfterVolumeClaimChange is isSchedulableAfterEvent for a claim of the pod. The
// cache of claims that the stock filter reads has a handler of its own.
func (g *Gang) isSchedulableAfterVolumeClaimChange(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	claim, ok := newObj.(*v1.PersistentVolumeClaim)
	if !ok {
		return g.isSchedulableAfterEvent(logger, pod, oldObj, newObj)
	}
	helps := func(pod *v1.Pod) bool { return pod.Namespace == claim.Namespace && claimsVolume(pod, claim.Name) }
	return g.whereItHelps(pod, late(eventFor(helps, oldObj, newObj)))
}

// isSchedulableAfterVolumeChange is isSchedulableAfterEvent for volumes. The cache of volumes
// that the stock filter reads has a handler of its own.
func (g *Gang) isSchedulableAfterVolumeChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	return g.whereItHelps(pod, late(eventFor(hasVolumeClaims, oldObj, newObj)))
}

// isSchedulableAfterStorageClassChange is isSchedulableAfterEvent for a new class, and for a
// class whose domains changed; nothing else that matters to pods can change.
func (g *Gang) isSchedulableAfterStorageClassChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, isUpdate := oldObj.(*storagev1.StorageClass)
	after, ok := newObj.(*storagev1.StorageClass)
	if ok && isUpdate && apiequality.Semantic.DeepEqual(before.AllowedTopologies, after.AllowedTopologies) {
		return fwk.QueueSkip, nil
	}
	return g.whereItHelps(pod, eventFor(hasVolumeClaims, oldObj, newObj))
}

// isSchedulableAfterCSINodeChange is isSchedulableAfterEvent for the drivers on a node.
func (g *Gang) isSchedulableAfterCSINodeChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	return g.whereItHelps(pod, eventFor(attachesVolumes, oldObj, newObj))
}

// isSchedulableAfterCSIDriverChange is isSchedulableAfterEvent for a driver that asks for
// fewer checks.
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

// isSchedulableAfterStorageCapacityChange is isSchedulableAfterEvent for storage that is new,
// or from which larger volumes can be made. Drivers report what is left after every volume.
func (g *Gang) isSchedulableAfterStorageCapacityChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, isUpdate := oldObj.(*storagev1.CSIStorageCapacity)
	after, ok := newObj.(*storagev1.CSIStorageCapacity)
	if ok && isUpdate && !larger(largestVolume(before), largestVolume(after)) {
		return fwk.QueueSkip, nil
	}
	return g.whereItHelps(pod, eventFor(hasVolumeClaims, oldObj, newObj))
}

// largestVolume is the size that the stock filter compares with a request, nil for none.
func largestVolume(storage *storagev1.CSIStorageCapacity) *resource.Quantity {
	if storage.MaximumVolumeSize != nil {
		return storage.MaximumVolumeSize
	}
	return storage.Capacity
}

func larger(before, after *resource.Quantity) bool {
	return after != nil && (before == nil || after.Cmp(*before) > 0)
}

// isSchedulableAfterDetach is isSchedulableAfterEvent for a volume that left a node.
func (g *Gang) isSchedulableAfterDetach(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	return g.whereItHelps(pod, eventFor(attachesVolumes, oldObj, newObj))
}

// attachesVolumes reports that the pod has a volume that a CSI driver attaches or makes: all
// but those that kubelet fills itself, or mounts from the network or the node.
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

// claimsVolume reports that the pod names a claim of its namespace, or has it made.
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

// sharesVolume reports that two pods claim one volume, which may be for one pod at a time.
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
