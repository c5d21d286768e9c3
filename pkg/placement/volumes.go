// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"encoding/binary"
	"slices"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/component-helpers/storage/ephemeral"
	"k8s.io/component-helpers/storage/volume"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Volumes reads the storage objects that decide where a pod with volumes can run.
type Volumes interface {
	Claim(namespace, name string) (*v1.PersistentVolumeClaim, error)
	Volume(name string) (*v1.PersistentVolume, error)
	Class(name string) (*storagev1.StorageClass, error)
	// ListVolumes returns all volumes.
	ListVolumes() ([]*v1.PersistentVolume, error)
	// Drivers returns the CSI drivers of a node and their limits.
	Drivers(node string) (*storagev1.CSINode, error)
	// ListAttachments returns all volumes that are or will be attached to nodes.
	ListAttachments() ([]*storagev1.VolumeAttachment, error)
}

// volumeReader has the volumes of a gang's members for one plan.
type volumeReader struct {
	source Volumes
	// pods has the members with claims, each read once.
	pods map[*v1.Pod]*podVolumes
	// users counts the members that have a claim, by the claim's name.
	users map[string]int
	freeVolumes
	attachLimits
	exclusiveClaims
}

// podVolumes is what the volumes of a pod ask of its node.
type podVolumes struct {
	// key is equal for pods that the planner may treat alike as far as volumes go, and ""
	// for a pod without volumes that matter.
	key string
	// bound are the pod's volumes.
	bound []*v1.PersistentVolume
	// waiting are the pod's claims that get one of the volumes that exist once the pod
	// has a node, the smallest first. joint are such claims that other members have too.
	waiting, joint []*v1.PersistentVolumeClaim
	// provisioned are the pod's claims that get a new volume once the pod has a node.
	provisioned []*v1.PersistentVolumeClaim
	// selected is the node that an earlier cycle selected for one of provisioned, "" for
	// none.
	selected string
	// zoned are the pod's volumes with a zone or region in their labels.
	zoned []*v1.PersistentVolume
	// mounts are the volumes that a CSI driver attaches to the node.
	mounts []mount
	// exclusive are the claims that only one pod may use at a time.
	exclusive []string
}

// readVolumes reads the claims of a gang's members. What cannot be read is left to the
// stock filters.
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
	return slices.ContainsFunc(pod.Spec.Volumes, func(v v1.Volume) bool { return v.PersistentVolumeClaim != nil || v.Ephemeral != nil })
}

// of returns what the volumes of a member ask of its node.
func (r *volumeReader) of(pod *v1.Pod) *podVolumes {
	if volumes := r.pods[pod]; volumes != nil {
		return volumes
	}
	return &podVolumes{}
}

// read reads the claims of a pod.
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
		if pod.Spec.Volumes[i].Ephemeral == nil { // the stock plugin VolumeZone ignores ephemeral volumes
			r.addZoned(volumes, claim)
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

// add adds a claim of a pod.
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
		r.addProvisioned(volumes, claim)
	}
	if m, ok := r.mountOf(claim, bound); ok {
		volumes.mounts = append(volumes.mounts, m)
	}
}

// volumeClaimName returns the name of the PersistentVolumeClaim of a pod's volume, "" if
// it has none.
func volumeClaimName(pod *v1.Pod, v *v1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return ephemeral.VolumeClaimName(pod, v)
	}
	return ""
}

// addObject adds an object to the key.
func (p *podVolumes) addObject(kind string, object interface{ Marshal() ([]byte, error) }) {
	if encoded, err := object.Marshal(); err == nil {
		p.addWords(kind, string(encoded))
	}
}

// addWords adds words to the key.
func (p *podVolumes) addWords(words ...string) {
	key := []byte(p.key)
	for _, word := range words {
		key = append(binary.AppendUvarint(key, uint64(len(word))), word...)
	}
	p.key = string(key)
}

// volumeOf returns the volume that a claim is or will be bound to, nil if none is known.
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

// isStatic reports whether a claim waits for a node, and then gets one of the volumes
// that exist.
func (r *volumeReader) isStatic(claim *v1.PersistentVolumeClaim) bool {
	class, err := r.source.Class(volume.GetPersistentVolumeClaimClass(claim))
	return err == nil && class.Provisioner == staticProvisioner &&
		class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}
