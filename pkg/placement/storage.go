// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/component-helpers/storage/ephemeral"
)

// Volumes reads the storage objects that decide where a pod with volumes can run.
type Volumes interface {
	Claim(namespace, name string) (*v1.PersistentVolumeClaim, error)
	Volume(name string) (*v1.PersistentVolume, error)
	Class(name string) (*storagev1.StorageClass, error)
	// ListVolumes returns all PersistentVolumes of the cluster.
	ListVolumes() ([]*v1.PersistentVolume, error)
	// Drivers returns the CSINode of a node: its CSI drivers and their limits.
	Drivers(node string) (*storagev1.CSINode, error)
	// ListAttachments returns the VolumeAttachments of all volumes that are or will be
	// attached to nodes.
	ListAttachments() ([]*storagev1.VolumeAttachment, error)
}

// staticProvisioner is the provisioner of storage classes whose volumes an administrator
// creates.
const staticProvisioner = "kubernetes.io/no-provisioner"

// volumeClaimName returns the name of the PersistentVolumeClaim of a volume of the pod,
// "" if the volume has none.
func volumeClaimName(pod *v1.Pod, v *v1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return ephemeral.VolumeClaimName(pod, v)
	}
	return ""
}
