// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// onHosts restricts a pod to some nodes.
func onHosts(nodes ...string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: nodes}},
			}}},
		}}
	}
}

// freeVolume creates a volume of a size that some nodes can use.
func (e *env) freeVolume(class, name, size string, nodes ...string) {
	e.Helper()
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: e.Namespace + "-" + name}}
	v.Spec.StorageClassName = class
	v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	v.Spec.Local = &corev1.LocalVolumeSource{Path: "/data"}
	v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: nodes}},
	}}}}
	e.createVolume(v)
}

func (e *env) createVolume(v *corev1.PersistentVolume) {
	e.Helper()
	if _, err := e.Client.CoreV1().PersistentVolumes().Create(e.Context(), v, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating volume %s: %v", v.Name, err)
	}
	e.Cleanup(func() {
		_ = e.Client.CoreV1().PersistentVolumes().Delete(context.Background(), v.Name, metav1.DeleteOptions{})
	})
}

// withFreshClaims gives each pod a claim of its own without a volume.
func (e *env) withFreshClaims(class string, pods []*corev1.Pod) {
	e.Helper()
	for _, pod := range pods {
		e.volumeClaim(class, pod.Name, "")
		mounting(pod.Name)(pod)
	}
}

// untilVolumesAreKnown waits until Dovetail knows the volumes that the test has created: it
// binds a pod with a newer volume.
func (e *env) untilVolumesAreKnown(class, node string) {
	e.Helper()
	e.freeVolume(class, "newest", "1Gi", node)
	e.volumeClaim(class, "newest", e.Namespace+"-newest")
	pod := newPod("newest", mounting("newest"))
	pod.Labels["volume"] = "newest"
	e.createPods(pod)
	e.UntilBound("volume=newest", 1)
}

// By counts the head and the workers all find the volume of their node. Each of three nodes
// has one volume.
func TestRolesShareTheVolumesOfNodes(t *testing.T) {
	e := onGPUs(t)
	class := e.localClass()
	for _, node := range e.nodeNames(3) {
		e.freeVolume(class, node, "1Gi", node)
	}
	e.podGroup("disks", 3, nil)
	pods := members("disks", 3)
	asking("8", "1Gi")(pods[0])
	e.withFreshClaims(class, pods)
	e.createPods(pods...)
	e.onNodes("disks", 3, corev1.LabelHostname, 3)

	e.podGroup("late", 2, nil)
	pods = members("late", 2)
	asking("8", "1Gi")(pods[0])
	e.freeVolume(class, "last", "1Gi", e.nodeNames(4)[3])
	e.withFreshClaims(class, pods)
	e.createPods(pods...)
	e.Refused(groupLabel+"=late", 2, "1 of 2 members fit")
}

// A volume that two nodes reach serves one member.
func TestVolumeOfTwoNodes(t *testing.T) {
	e := onGPUs(t)
	class := e.localClass()
	nodes := e.nodeNames(3)
	e.freeVolume(class, "wide", "1Gi", nodes[0], nodes[1])
	e.podGroup("wide", 2, nil)
	pods := members("wide", 2, asking("80", "1Gi"))
	e.withFreshClaims(class, pods)
	e.createPods(pods...)
	e.Refused(groupLabel+"=wide", 2, "1 of 2 members fit")
	e.freeVolume(class, "far", "1Gi", nodes[2])
	e.onNodes("wide", 2, corev1.LabelHostname, 2)
}

// The member on the first node would take the small volume that the second node needs. The
// third node has a volume of its own.
func TestVolumesInAnyOrder(t *testing.T) {
	e := onGPUs(t)
	class := e.localClass()
	nodes := e.nodeNames(3)
	e.freeVolume(class, "wide", "1Gi", nodes[0], nodes[1])
	e.freeVolume(class, "own", "2Gi", nodes[0])
	e.freeVolume(class, "far", "1Gi", nodes[2])
	e.untilVolumesAreKnown(class, nodes[2])
	e.podGroup("order", 2, nil)
	pods := members("order", 2, asking("80", "1Gi"))
	e.withFreshClaims(class, pods)
	e.createPods(pods...)
	e.onNodes("order", 2, corev1.LabelHostname, 2)
	if hosts := e.Domains(groupLabel+"=order", corev1.LabelHostname); hosts[nodes[2]] == 0 {
		t.Errorf("the members are on %v, want one on %s", hosts, nodes[2])
	}
}

// attaching limits how many volumes of a driver some nodes attach.
func (e *env) attaching(driver string, limit int32, nodes ...string) {
	e.Helper()
	attach := false
	object := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: driver}, Spec: storagev1.CSIDriverSpec{AttachRequired: &attach}}
	if _, err := e.Client.StorageV1().CSIDrivers().Create(e.Context(), object, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating CSIDriver %s: %v", driver, err)
	}
	e.Cleanup(func() {
		_ = e.Client.StorageV1().CSIDrivers().Delete(context.Background(), driver, metav1.DeleteOptions{})
	})
	for _, node := range nodes {
		on := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
			{Name: driver, NodeID: node, Allocatable: &storagev1.VolumeNodeResources{Count: &limit}},
		}}}
		if _, err := e.Client.StorageV1().CSINodes().Create(e.Context(), on, metav1.CreateOptions{}); err != nil {
			e.Fatalf("creating CSINode %s: %v", node, err)
		}
		e.Cleanup(func() {
			_ = e.Client.StorageV1().CSINodes().Delete(context.Background(), node, metav1.DeleteOptions{})
		})
	}
}

// driverVolume creates a volume of a driver with its claim, bound to each other.
func (e *env) driverVolume(class, driver, claim string, mode corev1.PersistentVolumeAccessMode) {
	e.Helper()
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: e.Namespace + "-" + claim}}
	v.Spec.StorageClassName = class
	v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{mode}
	v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: v.Name}
	v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: e.Namespace, Name: claim}
	e.createVolume(v)
	object := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: claim}}
	object.Spec.StorageClassName, object.Spec.VolumeName = &class, v.Name
	object.Spec.AccessModes = v.Spec.AccessModes
	object.Spec.Resources.Requests = v.Spec.Capacity
	if _, err := e.Client.CoreV1().PersistentVolumeClaims(e.Namespace).Create(e.Context(), object, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating claim %s: %v", claim, err)
	}
}

// Each node attaches two volumes. Members with a volume each spread out, and those with
// the same volume need it once on a node.
func TestAttachLimits(t *testing.T) {
	e := onGPUs(t)
	class, nodes := e.localClass(), e.nodeNames(3)
	driver := e.Namespace + ".example.com"
	e.attaching(driver, 2, nodes...)

	e.podGroup("mounts", 5, nil)
	pods := members("mounts", 5, onHosts(nodes...))
	asking("8", "1Gi")(pods[0])
	for i, pod := range pods {
		claim := fmt.Sprintf("mount-%d", i)
		e.driverVolume(class, driver, claim, corev1.ReadWriteOnce)
		mounting(claim)(pod)
	}
	e.createPods(pods...)
	e.onNodes("mounts", 5, corev1.LabelHostname, 3)

	e.podGroup("shared", 3, nil)
	e.driverVolume(class, driver, "shared", corev1.ReadWriteMany)
	e.createPods(members("shared", 3, onHosts(nodes...), mounting("shared"))...)
	e.onNodes("shared", 3, corev1.LabelHostname, 1)

	e.podGroup("more", 1, nil)
	e.driverVolume(class, driver, "more", corev1.ReadWriteOnce)
	e.createPods(members("more", 1, onHosts(nodes...), mounting("more"))...)
	e.Refused(groupLabel+"=more", 1, "0 of 1 member fit")
}

// Two members can never use a claim of this mode.
func TestClaimsOfOnePod(t *testing.T) {
	e := onGPUs(t)
	class := e.localClass()
	e.driverVolume(class, "none.example.com", "exclusive", corev1.ReadWriteOncePod)
	e.podGroup("exclusive", 2, nil)
	e.createPods(members("exclusive", 2, mounting("exclusive"))...)
	e.Refused(groupLabel+"=exclusive", 2, "claim exclusive is ReadWriteOncePod, so only one of its members can run")
}
