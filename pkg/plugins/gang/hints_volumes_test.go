// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

// The events about storage that queue a member of a gang that was refused: one with a claim,
// and one with volumes that kubelet fills itself.
func TestVolumeHints(t *testing.T) {
	claims, fills := member("a", "p", 1), member("a", "p", 1)
	claims.Spec.Volumes = []v1.Volume{{VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	made := claims.DeepCopy()
	made.Spec.Volumes = []v1.Volume{{Name: "disk", VolumeSource: v1.VolumeSource{Ephemeral: &v1.EphemeralVolumeSource{}}}}
	fills.Spec.Volumes = []v1.Volume{{VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
	volumeClaim := func(namespace, name string) *v1.PersistentVolumeClaim {
		return &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	storage := func(capacity, largest string) *storagev1.CSIStorageCapacity {
		s := &storagev1.CSIStorageCapacity{}
		if capacity != "" {
			s.Capacity = new(resource.Quantity)
			*s.Capacity = resource.MustParse(capacity)
		}
		if largest != "" {
			s.MaximumVolumeSize = new(resource.Quantity)
			*s.MaximumVolumeSize = resource.MustParse(largest)
		}
		return s
	}
	zone := &storagev1.StorageClass{AllowedTopologies: []v1.TopologySelectorTerm{{}}}
	checks := &storagev1.CSIDriver{Spec: storagev1.CSIDriverSpec{StorageCapacity: new(bool), PreventPodSchedulingIfMissing: new(bool)}}
	*checks.Spec.StorageCapacity = true
	limits := checks.DeepCopy()
	*checks.Spec.PreventPodSchedulingIfMissing = true

	tests := map[string]struct {
		pod      *v1.Pod
		event    fwk.ClusterEvent
		old, new any
		want     fwk.QueueingHint
	}{
		"there is storage":                       {claims, event(fwk.CSIStorageCapacity, fwk.Add), nil, storage("1Gi", ""), fwk.Queue},
		"there is storage, for no claim":         {fills, event(fwk.CSIStorageCapacity, fwk.Add), nil, storage("1Gi", ""), fwk.QueueSkip},
		"storage grows":                          {claims, event(fwk.CSIStorageCapacity, fwk.Update), storage("10Gi", ""), storage("500Gi", ""), fwk.Queue},
		"storage grows, and volumes are made":    {made, event(fwk.CSIStorageCapacity, fwk.Update), storage("10Gi", ""), storage("500Gi", ""), fwk.Queue},
		"storage is reported for the first time": {claims, event(fwk.CSIStorageCapacity, fwk.Update), storage("", ""), storage("500Gi", ""), fwk.Queue},
		"storage shrinks":                        {claims, event(fwk.CSIStorageCapacity, fwk.Update), storage("500Gi", ""), storage("10Gi", ""), fwk.QueueSkip},
		"storage grows in parts":                 {claims, event(fwk.CSIStorageCapacity, fwk.Update), storage("1Gi", "1Gi"), storage("9Gi", "1Gi"), fwk.QueueSkip},
		"a class comes":                          {claims, event(fwk.StorageClass, fwk.Add), nil, &storagev1.StorageClass{}, fwk.Queue},
		"a class allows other domains":           {claims, event(fwk.StorageClass, fwk.Update), &storagev1.StorageClass{}, zone, fwk.Queue},
		"a class gets a label":                   {claims, event(fwk.StorageClass, fwk.Update), zone, zone, fwk.QueueSkip},
		"a driver's capacity is not checked":     {claims, event(fwk.CSIDriver, fwk.Update), limits, &storagev1.CSIDriver{}, fwk.Queue},
		"a driver's limits are not checked":      {claims, event(fwk.CSIDriver, fwk.Update), checks, limits, fwk.Queue},
		"a driver is checked":                    {claims, event(fwk.CSIDriver, fwk.Update), &storagev1.CSIDriver{}, checks, fwk.QueueSkip},
		"a volume leaves a node":                 {claims, event(fwk.VolumeAttachment, fwk.Delete), &storagev1.VolumeAttachment{}, nil, fwk.Queue},
		"a volume leaves, missed":                {claims, event(fwk.VolumeAttachment, fwk.Delete), cache.DeletedFinalStateUnknown{}, nil, fwk.Queue},
		"a volume leaves, for no claim":          {fills, event(fwk.VolumeAttachment, fwk.Delete), &storagev1.VolumeAttachment{}, nil, fwk.QueueSkip},
		"a driver comes to a node":               {claims, event(fwk.CSINode, fwk.Add), nil, &storagev1.CSINode{}, fwk.Queue},
		"a driver comes, for no claim":           {fills, event(fwk.CSINode, fwk.Add), nil, &storagev1.CSINode{}, fwk.QueueSkip},
		"its claim comes":                        {claims, event(fwk.PersistentVolumeClaim, fwk.Add), nil, volumeClaim("ml", "data"), fwk.Queue},
		"its claim is bound":                     {claims, event(fwk.PersistentVolumeClaim, fwk.Update), volumeClaim("ml", "data"), volumeClaim("ml", "data"), fwk.Queue},
		"its claim is made":                      {made, event(fwk.PersistentVolumeClaim, fwk.Add), nil, volumeClaim("ml", "p-disk"), fwk.Queue},
		"the claim of a stranger comes":          {claims, event(fwk.PersistentVolumeClaim, fwk.Add), nil, volumeClaim("ml", "other"), fwk.QueueSkip},
		"a claim comes in another namespace":     {claims, event(fwk.PersistentVolumeClaim, fwk.Add), nil, volumeClaim("web", "data"), fwk.QueueSkip},
		"a volume comes":                         {claims, event(fwk.PersistentVolume, fwk.Add), nil, &v1.PersistentVolume{}, fwk.Queue},
		"a volume comes, for no claim":           {fills, event(fwk.PersistentVolume, fwk.Add), nil, &v1.PersistentVolume{}, fwk.QueueSkip},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := pluginWith(t, nil, tc.pod)
			g.answer(t, gangs.LabelKey("ml", "a"), &gangstate.Answer{Refusal: "no room"}, epoch)
			if got := g.hint(t, tc.event)(tc.pod, tc.old, tc.new); got != tc.want {
				t.Errorf("hint %v, want %v", got, tc.want)
			}
		})
	}
}
