// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
)

// Volumes reads storage objects from the scheduler's informers, which the stock plugins
// for volumes use too.
type Volumes struct {
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
	drivers storagelisters.CSINodeLister
	// attachments is shared with the stock plugin for attach limits.
	attachments storagelisters.VolumeAttachmentLister
}

// NewVolumes returns a reader of the factory's storage objects.
func NewVolumes(factory informers.SharedInformerFactory) *Volumes {
	core := factory.Core().V1()
	return &Volumes{
		claims: core.PersistentVolumeClaims().Lister(), volumes: core.PersistentVolumes().Lister(),
		classes: factory.Storage().V1().StorageClasses().Lister(), drivers: factory.Storage().V1().CSINodes().Lister(),
		attachments: factory.Storage().V1().VolumeAttachments().Lister(),
	}
}

// Claim returns a PersistentVolumeClaim.
func (v *Volumes) Claim(namespace, name string) (*v1.PersistentVolumeClaim, error) {
	return v.claims.PersistentVolumeClaims(namespace).Get(name)
}

// Volume returns a PersistentVolume.
func (v *Volumes) Volume(name string) (*v1.PersistentVolume, error) { return v.volumes.Get(name) }

// Class returns a StorageClass.
func (v *Volumes) Class(name string) (*storagev1.StorageClass, error) { return v.classes.Get(name) }

// ListVolumes returns all PersistentVolumes.
func (v *Volumes) ListVolumes() ([]*v1.PersistentVolume, error) {
	return v.volumes.List(labels.Everything())
}

// Drivers returns the CSI drivers of a node.
func (v *Volumes) Drivers(node string) (*storagev1.CSINode, error) { return v.drivers.Get(node) }

// ListAttachments returns all VolumeAttachments.
func (v *Volumes) ListAttachments() ([]*storagev1.VolumeAttachment, error) {
	return v.attachments.List(labels.Everything())
}
