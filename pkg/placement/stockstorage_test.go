// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
)

const (
	localClass = "local"
	// jointClass is the beginning of the class of a claim that members share.
	jointClass = "joint-"
	diskClass  = "disk"
	diskDriver = "csi.example.com"
)

// storage draws the storage objects of a world and gives members their claims.
func (d drawer) storage() {
	w := d.w
	for name, team := range map[string]string{"ml": "red", "other": "blue"} {
		w.objects = append(w.objects, &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": team}}})
	}
	const static = "kubernetes.io/no-provisioner"
	waits := storagev1.VolumeBindingWaitForFirstConsumer
	for class, provisioner := range map[string]string{
		localClass: static, jointClass + "role0": static, jointClass + "role1": static, jointClass + "role2": static, diskClass: diskDriver,
	} {
		w.objects = append(w.objects, &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: provisioner, VolumeBindingMode: &waits,
		})
	}
	for _, node := range w.nodes {
		w.objects = append(w.objects, d.drivers(node.Name))
	}
	if d.has(askAttach) {
		for _, pod := range w.running {
			if d.often(5) {
				d.use(pod, d.disk(pod.Namespace, pod.Name))
			}
		}
		d.claims(3, d.disk)
	}
	if d.has(askLocal) {
		for i := range d.IntN(2 * len(w.members)) {
			d.volume(fmt.Sprint("free-", i), localClass, "")
		}
		d.claims(4, d.local)
	}
}

func (d drawer) drivers(node string) *storagev1.CSINode {
	drivers := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: node}}
	if d.has(askAttach) && d.often(9) {
		driver := storagev1.CSINodeDriver{Name: diskDriver, NodeID: node}
		if d.often(8) {
			driver.Allocatable = &storagev1.VolumeNodeResources{Count: new(int32(d.IntN(4)))}
		}
		drivers.Spec.Drivers = []storagev1.CSINodeDriver{driver}
	}
	return drivers
}

// claims gives claims to the members of roles: each role one of its own, or one for all.
func (d drawer) claims(roles int, draw func(namespace, name string) string) {
	for _, r := range d.w.gang.Roles {
		if d.IntN(6) >= roles {
			continue
		}
		joint := ""
		if d.IntN(6) == 0 {
			joint = draw("ml", jointClass+r.Name)
		}
		for _, pod := range d.w.pending() {
			for i := range 1 + d.IntN(5)/4 {
				switch {
				case roleOf(pod) != r.Name:
				case joint != "":
					d.use(pod, joint)
				default:
					d.use(pod, draw("ml", fmt.Sprint(pod.Name, "-", i)))
				}
			}
		}
	}
}

func (d drawer) use(pod *v1.Pod, claim string) {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == claim {
			return
		}
	}
	pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: claim, VolumeSource: v1.VolumeSource{
		PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}})
}

// local draws a claim of a local volume: one that it is bound to, one that is reserved for
// it, or any.
func (d drawer) local(namespace, name string) string {
	class := localClass
	if strings.HasPrefix(name, jointClass) && d.often(5) {
		class = name
		for i := range 1 + d.IntN(3) {
			d.volume(fmt.Sprint(name, "-", i), class, "")
		}
	}
	name = "local-" + name
	claim := d.claim(namespace, name, class)
	switch d.IntN(6) {
	case 0, 1:
		claim.Spec.VolumeName = d.volume("of-"+name, class, namespace+"/"+name).Name
		claim.Annotations = map[string]string{"pv.kubernetes.io/bind-completed": "yes"}
	case 2:
		d.volume("of-"+name, class, namespace+"/"+name)
	}
	return name
}

// disk draws a claim of a volume of the CSI driver.
func (d drawer) disk(namespace, name string) string {
	name = "disk-" + name
	claim := d.claim(namespace, name, diskClass)
	if d.often(7) {
		claim.Spec.VolumeName = d.volume("of-"+name, diskClass, namespace+"/"+name).Name
		claim.Annotations = map[string]string{"pv.kubernetes.io/bind-completed": "yes"}
	} else if d.often(2) {
		claim.Annotations = map[string]string{volume.AnnSelectedNode: d.w.nodes[d.IntN(len(d.w.nodes))].Name}
	}
	return name
}

func (d drawer) size() v1.ResourceList {
	return v1.ResourceList{v1.ResourceStorage: resource.MustParse(d.of("1Gi", "1Gi", "2Gi"))}
}

func (d drawer) claim(namespace, name, class string) *v1.PersistentVolumeClaim {
	claim := d.newClaim(namespace, name, class, d.of("1Gi", "1Gi", "2Gi"))
	if d.IntN(8) == 0 {
		claim.Spec.AccessModes[0] = v1.ReadWriteOncePod
	}
	return claim
}

func (d drawer) newClaim(namespace, name, class, size string) *v1.PersistentVolumeClaim {
	claim := &v1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			Resources: v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse(size)}},
		},
	}
	d.w.objects = append(d.w.objects, claim)
	return claim
}

// volume draws a volume, for the claim if that is not "".
func (d drawer) volume(name, class, claim string) *v1.PersistentVolume {
	v := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.PersistentVolumeSpec{
			StorageClassName: class, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce, v1.ReadWriteOncePod}, Capacity: d.size(),
		},
		Status: v1.PersistentVolumeStatus{Phase: v1.VolumeAvailable},
	}
	if claim != "" {
		v.Spec.Capacity[v1.ResourceStorage] = resource.MustParse("2Gi")
		for i := range claim {
			if claim[i] == '/' {
				v.Spec.ClaimRef = &v1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: claim[:i], Name: claim[i+1:]}
			}
		}
	}
	if class == diskClass {
		v.Spec.CSI = &v1.CSIPersistentVolumeSource{Driver: diskDriver, VolumeHandle: name}
	}
	switch n := d.IntN(10); {
	case class != diskClass && (n < 7 || class != localClass):
		v.Spec.NodeAffinity = onNodes(v1.LabelHostname, d.w.nodes[d.IntN(len(d.w.nodes))].Labels[v1.LabelHostname])
	case class == localClass || n < 3:
		v.Spec.NodeAffinity = onNodes(d.of(zoneKey, rackKey), d.of("a", "b", "x", "y"))
	case n == 3:
		v.Labels = map[string]string{zoneKey: d.of("a", "b")}
	}
	d.w.objects = append(d.w.objects, v)
	return v
}

func onNodes(key, value string) *v1.VolumeNodeAffinity {
	return &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchExpressions: []v1.NodeSelectorRequirement{{Key: key, Operator: v1.NodeSelectorOpIn, Values: []string{value}}},
	}}}}
}
