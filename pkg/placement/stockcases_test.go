// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	schedulermetrics "k8s.io/kubernetes/pkg/scheduler/metrics"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// newWorld returns a world of nodes n0, n1 and so on with 2 CPUs each, alternately in zone a
// and zone b, and of a gang of members w-0, w-1 and so on with 1 CPU each.
func newWorld(nodes, members int) *world {
	w := &world{gang: gangs.Gang{
		Key: gangs.Key{Source: "random", Namespace: "ml", Name: "train"}, Min: members, Roles: []role{{Name: "w", Min: members, Want: members}},
	}}
	for i := range nodes {
		name := fmt.Sprint("n", i)
		w.nodes = append(w.nodes, &v1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1.LabelHostname: name, zoneKey: string(rune('a' + i%2))}},
			Status:     v1.NodeStatus{Allocatable: v1.ResourceList{v1.ResourceCPU: resource.MustParse("2"), v1.ResourcePods: resource.MustParse("9")}},
		})
	}
	for i := range members {
		pod := newPod("ml", fmt.Sprint("w-", i))
		pod.Labels[roleLabel] = "w"
		setCPU(pod, "1")
		w.members = append(w.members, pod)
	}
	waits := storagev1.VolumeBindingWaitForFirstConsumer
	for class, provisioner := range map[string]string{localClass: "kubernetes.io/no-provisioner", diskClass: diskDriver} {
		w.objects = append(w.objects, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: provisioner, VolumeBindingMode: &waits})
	}
	return w
}

// claim gives a claim to members.
func (w *world) claim(name, class string, members ...int) *v1.PersistentVolumeClaim {
	claim := drawer{w: w}.newClaim("ml", name, class, "1Gi")
	for _, i := range members {
		drawer{}.use(w.members[i], name)
	}
	return claim
}

// local adds a local volume on a node.
func (w *world) local(name, node string) {
	w.objects = append(w.objects, &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.PersistentVolumeSpec{
			StorageClassName: localClass, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			Capacity: v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")}, NodeAffinity: onNodes(v1.LabelHostname, node),
		},
		Status: v1.PersistentVolumeStatus{Phase: v1.VolumeAvailable},
	})
}

// inZone binds a claim to a volume whose labels name a zone.
func (w *world) inZone(claim *v1.PersistentVolumeClaim, zone string) {
	claim.Spec.VolumeName = "of-" + claim.Name
	claim.Annotations = map[string]string{volume.AnnBindCompleted: "yes"}
	w.objects = append(w.objects, &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: claim.Spec.VolumeName, Labels: map[string]string{zoneKey: zone}},
		Spec: v1.PersistentVolumeSpec{
			StorageClassName: diskClass, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			ClaimRef:               &v1.ObjectReference{Namespace: "ml", Name: claim.Name},
			PersistentVolumeSource: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{Driver: diskDriver, VolumeHandle: claim.Name}},
		},
	})
}

// The random gangs found these once: a refusal though the stock filters accept a placement,
// or a plan that they refuse.
func TestStockFiltersAgreeInSmallWorlds(t *testing.T) {
	schedulermetrics.Register()
	for name, tc := range map[string]struct {
		nodes, members int
		prepare        func(*world)
		refused        bool
	}{
		"members with volumes in different zones": {
			nodes: 2, members: 2,
			prepare: func(w *world) {
				w.inZone(w.claim("a", diskClass, 0), "a")
				w.inZone(w.claim("b", diskClass, 1), "b__c")
			},
		},
		"a volume in a zone without nodes": {
			nodes: 2, members: 2, refused: true,
			prepare: func(w *world) { w.inZone(w.claim("a", diskClass, 0), "z") },
		},
		"a node without a zone": {
			nodes: 3, members: 5,
			prepare: func(w *world) {
				delete(w.nodes[2].Labels, zoneKey)
				for i := range w.members {
					w.inZone(w.claim(fmt.Sprint("c", i), diskClass, i), "a")
				}
				setCPU(w.members[4], "100m")
				setCPU(w.members[3], "900m")
			},
		},
		"a volume to be made that two members share": {
			nodes: 2, members: 3,
			prepare: func(w *world) { w.claim("joint", diskClass, 0, 2) },
		},
		"a volume to be made that too many members share": {
			nodes: 2, members: 3, refused: true,
			prepare: func(w *world) { w.claim("joint", diskClass, 0, 1, 2) },
		},
		"a local volume that two members share": {
			nodes: 3, members: 4,
			prepare: func(w *world) {
				w.local("v1", "n1")
				w.local("v2", "n2")
				w.claim("joint", localClass, 0, 2)
			},
		},
		"the smaller claim gets the smaller volume, whatever nodes can use it": {
			nodes: 1, members: 1,
			prepare: func(w *world) {
				w.local("large", "n0")
				w.local("small", "n0")
				for _, o := range w.objects {
					if v, ok := o.(*v1.PersistentVolume); ok && v.Name == "large" {
						v.Spec.Capacity[v1.ResourceStorage] = resource.MustParse("2Gi")
					} else if ok {
						v.Spec.NodeAffinity = onNodes(zoneKey, "a")
					}
				}
				w.claim("a", localClass, 0)
				w.claim("b", localClass, 0).Spec.Resources.Requests[v1.ResourceStorage] = resource.MustParse("2Gi")
			},
		},
		"a volume that is being made on a node": {
			nodes: 2, members: 2,
			prepare: func(w *world) {
				w.claim("a", diskClass, 0).Annotations = map[string]string{volume.AnnSelectedNode: "n1"}
				w.claim("b", diskClass, 1)
				setCPU(w.members[0], "1500m")
				setCPU(w.members[1], "1500m")
			},
		},
		"running pods away from some members of a role": {
			nodes: 2, members: 2,
			prepare: func(w *world) {
				busy := newPod("ml", "busy")
				busy.Spec.NodeName = "n1"
				affinityOf(busy).PodAntiAffinity = &v1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{
					TopologyKey: v1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"index": "0"}},
				}}}
				w.running = append(w.running, busy)
				setCPU(w.members[0], "1500m")
				setCPU(w.members[1], "1500m")
				setCPU(busy, "500m")
				w.members[0].Labels["index"], w.members[1].Labels["index"] = "0", "1"
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(tc.nodes, tc.members)
			tc.prepare(w)
			v := judge(t, w, 1)
			if v.fault != "" || v.placed == tc.refused || len(v.lessons) > 0 {
				t.Errorf("%+v\n%s", v, w.describe())
			}
		})
	}
}
