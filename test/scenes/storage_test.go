// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Names of a scene that must be unique in the cluster begin with its namespace.
func (s *stage) unique(name string) string { return s.Namespace + "-" + name }

// driver is the CSI driver of the scene.
func (s *stage) driver() string { return s.Namespace + ".example.com" }

// class creates a storage class whose volumes an administrator creates.
func class(name string) step {
	return func(s *stage) {
		s.Helper()
		s.createClass(name, "kubernetes.io/no-provisioner")
	}
}

func (s *stage) createClass(name, provisioner string) {
	s.Helper()
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	object := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: s.unique(name)}, Provisioner: provisioner, VolumeBindingMode: &mode}
	if _, err := s.Client.StorageV1().StorageClasses().Create(s.Context(), object, metav1.CreateOptions{}); err != nil {
		s.Fatalf("creating a storage class: %v", err)
	}
	s.later(func(ctx context.Context) error {
		return s.Client.StorageV1().StorageClasses().Delete(ctx, object.Name, metav1.DeleteOptions{})
	})
}

// volume creates a volume that some nodes reach.
func volume(class, name string, numbers ...int) step {
	var names []string
	for _, i := range numbers {
		names = append(names, nodeName(i))
	}
	return volumeWhere(class, name, host, names...)
}

// volumeWhere creates a volume for nodes by a label.
func volumeWhere(class, name, key string, values ...string) step {
	return func(s *stage) {
		s.Helper()
		s.createVolume(s.newVolume(class, name, key, values...))
	}
}

func (s *stage) newVolume(class, name, key string, values ...string) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: s.unique(name)}}
	v.Spec.StorageClassName = s.unique(class)
	v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	v.Spec.Local = &corev1.LocalVolumeSource{Path: "/data"}
	v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}},
	}}}}
	return v
}

func (s *stage) createVolume(v *corev1.PersistentVolume) {
	s.Helper()
	if _, err := s.Client.CoreV1().PersistentVolumes().Create(s.Context(), v, metav1.CreateOptions{}); err != nil {
		s.Fatalf("creating a volume: %v", err)
	}
	s.later(func(ctx context.Context) error {
		return s.Client.CoreV1().PersistentVolumes().Delete(ctx, v.Name, metav1.DeleteOptions{})
	})
}

// volumeClaim creates a claim, for a volume if that is not "".
func (s *stage) volumeClaim(class, name, volume string, mode corev1.PersistentVolumeAccessMode) {
	s.Helper()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	claim.Spec.StorageClassName, claim.Spec.VolumeName = new(s.unique(class)), volume
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{mode}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	if _, err := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).Create(s.Context(), claim, metav1.CreateOptions{}); err != nil {
		s.Fatalf("creating claim %s: %v", name, err)
	}
}

// claimed creates a claim without a volume.
func claimed(class, name string) step {
	return func(s *stage) {
		s.Helper()
		s.volumeClaim(class, name, "", corev1.ReadWriteOnce)
	}
}

// bound creates a claim and its volume, bound to each other, for nodes by a label.
func bound(class, name, key string, values ...string) step {
	return func(s *stage) {
		s.Helper()
		v := s.newVolume(class, name, key, values...)
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: s.Namespace, Name: name}
		s.createVolume(v)
		s.volumeClaim(class, name, v.Name, corev1.ReadWriteOnce)
	}
}

// attached creates a claim and its volume of the CSI driver, bound to each other.
func attached(name string, mode corev1.PersistentVolumeAccessMode) step {
	return func(s *stage) {
		s.Helper()
		v := s.newVolume("csi", name, "")
		v.Spec.Local, v.Spec.NodeAffinity = nil, nil
		v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{mode}
		v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: s.driver(), VolumeHandle: v.Name}
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: s.Namespace, Name: name}
		s.createVolume(v)
		s.volumeClaim("csi", name, v.Name, mode)
	}
}

// mounts adds a claim's volume to a pod.
func mounts(claim string) option {
	return func(_ *stage, p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "v-" + claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}})
	}
}

// mountsOwn creates a claim without a volume for the pod.
func mountsOwn(class string) option {
	return func(s *stage, p *corev1.Pod) {
		name := class + "-" + p.Name
		claimed(class, name)(s)
		mounts(name)(s, p)
	}
}

// attachesOwn creates a claim with a volume of the CSI driver for the pod.
func attachesOwn(s *stage, p *corev1.Pod) {
	attached("csi-"+p.Name, corev1.ReadWriteOnce)(s)
	mounts("csi-"+p.Name)(s, p)
}

// attaching creates the CSI driver, and limits how many of its volumes some nodes attach.
func attaching(limit int32, numbers ...int) step {
	return func(s *stage) {
		s.Helper()
		s.createDriver(false)
		for _, i := range numbers {
			on := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: nodeName(i)}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
				{Name: s.driver(), NodeID: nodeName(i), Allocatable: &storagev1.VolumeNodeResources{Count: &limit}},
			}}}
			if _, err := s.Client.StorageV1().CSINodes().Create(s.Context(), on, metav1.CreateOptions{}); err != nil {
				s.Fatalf("creating CSINode %s: %v", on.Name, err)
			}
			s.later(func(ctx context.Context) error {
				return s.Client.StorageV1().CSINodes().Delete(ctx, on.Name, metav1.DeleteOptions{})
			})
		}
	}
}

// createDriver creates the CSI driver and its storage class csi.
func (s *stage) createDriver(capacity bool) {
	s.Helper()
	object := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: s.driver()}}
	object.Spec.AttachRequired, object.Spec.StorageCapacity = new(false), &capacity
	if _, err := s.Client.StorageV1().CSIDrivers().Create(s.Context(), object, metav1.CreateOptions{}); err != nil {
		s.Fatalf("creating a CSIDriver: %v", err)
	}
	s.later(func(ctx context.Context) error {
		return s.Client.StorageV1().CSIDrivers().Delete(ctx, object.Name, metav1.DeleteOptions{})
	})
	s.createClass("csi", s.driver())
}

// attachesMore replaces the limit of a node.
func attachesMore(node int, limit int32) step {
	return func(s *stage) {
		s.Helper()
		patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/drivers/0/allocatable/count","value":%d}]`, limit)
		if _, err := s.Client.StorageV1().CSINodes().Patch(s.Context(), nodeName(node), types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			s.Fatalf("changing the attach limit of node %d: %v", node, err)
		}
	}
}

// capacity creates the CSI driver with a storage capacity that all nodes can use.
func capacity(size string) step {
	return func(s *stage) {
		s.Helper()
		s.createDriver(true)
		free := resource.MustParse(size)
		object := &storagev1.CSIStorageCapacity{
			ObjectMeta:       metav1.ObjectMeta{Name: "free"},
			StorageClassName: s.unique("csi"), Capacity: &free,
			NodeTopology: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelOSStable: "linux"}},
		}
		if _, err := s.Client.StorageV1().CSIStorageCapacities(s.Namespace).Create(s.Context(), object, metav1.CreateOptions{}); err != nil {
			s.Fatalf("creating a storage capacity: %v", err)
		}
	}
}

// capacityGrows reports more storage, and creates the volumes that the scheduler asks for.
func capacityGrows(size string, n int) step {
	return func(s *stage) {
		s.Helper()
		patch := fmt.Sprintf(`{"capacity":%q}`, size)
		_, err := s.Client.StorageV1().CSIStorageCapacities(s.Namespace).Patch(s.Context(), "free", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil {
			s.Fatalf("changing the storage capacity: %v", err)
		}
		s.provision(n)
	}
}

// selectedNode is the annotation with the node for which a claim's volume is created.
const selectedNode = "volume.kubernetes.io/selected-node"

// provision waits until n claims have a node, and creates a volume there for each.
func (s *stage) provision(n int) {
	s.Helper()
	claims := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace)
	chosen := map[string]*corev1.PersistentVolumeClaim{}
	s.Until(fmt.Sprintf("%d claims have a node", n), func(ctx context.Context) string {
		list, err := claims.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for i := range list.Items {
			if list.Items[i].Annotations[selectedNode] != "" {
				chosen[list.Items[i].Name] = &list.Items[i]
			}
		}
		if len(chosen) == n {
			return ""
		}
		return fmt.Sprintf("%d have", len(chosen))
	})
	for name, claim := range chosen {
		v := s.newVolume("csi", name, host, claim.Annotations[selectedNode])
		v.Spec.Local, v.Spec.CSI = nil, &corev1.CSIPersistentVolumeSource{Driver: s.driver(), VolumeHandle: v.Name}
		// With the UID the controller binds the claim at once, and not at its next resync.
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: s.Namespace, Name: name, UID: claim.UID}
		s.createVolume(v)
	}
}
