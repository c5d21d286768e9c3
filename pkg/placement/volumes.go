// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/component-helpers/storage/volume"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// volumeReader reads what the volumes of a gang's members ask of nodes, for one plan.
type volumeReader struct {
	source Volumes
	// pods has, for each member with PersistentVolumeClaims, what its volumes ask of a
	// node.
	pods map[*v1.Pod]*podVolumes
	// users has, by the name of a claim, the number of members that have the claim.
	users map[string]int
	freeVolumes
	attachLimits
	exclusiveClaims
}

// readVolumes reads the PersistentVolumeClaims of a gang's members. It leaves out objects
// that cannot be read; the stock filters judge these.
func readVolumes(source Volumes, request *gangs.Request, nodes []fwk.NodeInfo) *volumeReader {
	r := &volumeReader{source: source}
	if source == nil {
		return r
	}
	for i := range request.Members {
		if pod := request.Members[i].Pod; mayHaveClaims(pod) {
			r.read(pod)
		}
	}
	if len(r.pods) == 0 {
		return r
	}
	for _, volumes := range r.pods {
		volumes.separateJoint(r.users)
	}
	r.readAttachLimits(request, nodes)
	r.readExclusive(request, nodes)
	return r
}

func mayHaveClaims(pod *v1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			return true
		}
	}
	return false
}

// noVolumes is the value for pods without PersistentVolumeClaims.
var noVolumes = &podVolumes{}

// of returns what the volumes of a member ask of its node. It never returns nil.
func (r *volumeReader) of(pod *v1.Pod) *podVolumes {
	if volumes := r.pods[pod]; volumes != nil {
		return volumes
	}
	return noVolumes
}

// read reads the PersistentVolumeClaims of a pod and counts the pod as a user of each.
func (r *volumeReader) read(pod *v1.Pod) {
	if r.pods == nil {
		r.pods, r.users = map[*v1.Pod]*podVolumes{}, map[string]int{}
	}
	volumes := &podVolumes{}
	names := sets.New[string]()
	for i := range pod.Spec.Volumes {
		name := volumeClaimName(pod, &pod.Spec.Volumes[i])
		if name == "" || names.Has(name) {
			continue
		}
		names.Insert(name)
		claim, err := r.source.Claim(pod.Namespace, name)
		if err != nil {
			continue
		}
		r.users[name]++
		r.add(volumes, claim)
		if pod.Spec.Volumes[i].Ephemeral == nil && claim.Spec.VolumeName != "" { // the stock plugin VolumeZone ignores ephemeral volumes
			if bound := r.volumeOf(claim); bound != nil {
				volumes.addZoned(bound)
			}
		}
		if pod.Spec.Volumes[i].Ephemeral == nil && slices.Contains(claim.Spec.AccessModes, v1.ReadWriteOncePod) {
			volumes.exclusive = append(volumes.exclusive, name)
		}
	}
	slices.SortStableFunc(volumes.waiting, func(a, b *v1.PersistentVolumeClaim) int {
		x, y := a.Spec.Resources.Requests[v1.ResourceStorage], b.Spec.Resources.Requests[v1.ResourceStorage]
		return x.Cmp(y)
	})
	r.pods[pod] = volumes
}

// add adds to volumes what one claim of a pod asks of the pod's node.
func (r *volumeReader) add(volumes *podVolumes, claim *v1.PersistentVolumeClaim) {
	bound := r.volumeOf(claim)
	switch {
	case bound != nil && bound.Spec.NodeAffinity != nil:
		volumes.bound = append(volumes.bound, bound)
		volumes.addObject("bound", bound.Spec.NodeAffinity)
	case bound == nil && claim.Spec.VolumeName == "" && r.isStatic(claim):
		volumes.waiting = append(volumes.waiting, claim)
		volumes.addObject("waiting", &claim.Spec)
	case bound == nil && claim.Spec.VolumeName == "":
		volumes.addProvisioned(claim)
	}
	if m, ok := r.mountOf(claim, bound); ok {
		volumes.mounts = append(volumes.mounts, m)
	}
}

// volumeOf returns the volume that a claim is or will be bound to, nil if it is not known
// yet.
func (r *volumeReader) volumeOf(claim *v1.PersistentVolumeClaim) *v1.PersistentVolume {
	if claim.Spec.VolumeName == "" {
		r.list(r.source)
		return r.promised[[2]string{claim.Namespace, claim.Name}]
	}
	bound, err := r.source.Volume(claim.Spec.VolumeName)
	if err != nil {
		return nil
	}
	return bound
}

// isStatic reports whether a claim gets one of the existing volumes, once its pod has a
// node.
func (r *volumeReader) isStatic(claim *v1.PersistentVolumeClaim) bool {
	class, err := r.source.Class(volume.GetPersistentVolumeClaimClass(claim))
	return err == nil && class.Provisioner == staticProvisioner &&
		class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}
