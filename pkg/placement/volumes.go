// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"encoding/binary"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/component-helpers/storage/ephemeral"
	"k8s.io/component-helpers/storage/volume"
)

// Volumes reads the storage objects that decide where a pod with volumes can run.
type Volumes interface {
	Claim(namespace, name string) (*v1.PersistentVolumeClaim, error)
	Volume(name string) (*v1.PersistentVolume, error)
	Class(name string) (*storagev1.StorageClass, error)
	// ListVolumes returns all volumes.
	ListVolumes() ([]*v1.PersistentVolume, error)
}

// staticProvisioner is the provisioner of classes whose volumes an administrator creates.
const staticProvisioner = "kubernetes.io/no-provisioner"

// volumeReader reads the volumes of a gang's members for one plan.
type volumeReader struct {
	source Volumes
	// listed reports that the volumes were listed.
	listed bool
	// free has the volumes that no claim has: by storage class those of any node, and by
	// storage class and host name those of one node. promised has the volumes that name
	// their claim and are not bound to it yet, by the claim's namespace and name.
	free     map[string][]*v1.PersistentVolume
	freeAt   map[[2]string][]*v1.PersistentVolume
	promised map[[2]string]*v1.PersistentVolume
}

// volumeNodes is which nodes the volumes of a pod allow.
type volumeNodes struct {
	// key is equal for pods whose volumes allow the same nodes, and "" for all nodes.
	key string
	// bound are the pod's volumes.
	bound []*v1.PersistentVolume
	// waiting are the pod's claims that get one of the volumes that exist once the pod
	// has a node.
	waiting []*v1.PersistentVolumeClaim
}

// allowedBy reads the claims of a pod. What cannot be read is left to the stock filters.
func (r *volumeReader) allowedBy(pod *v1.Pod) volumeNodes {
	var allowed volumeNodes
	if r.source == nil {
		return allowed
	}
	for i := range pod.Spec.Volumes {
		name := volumeClaimName(pod, &pod.Spec.Volumes[i])
		if name == "" {
			continue
		}
		claim, err := r.source.Claim(pod.Namespace, name)
		if err != nil {
			continue
		}
		bound := r.volumeOf(claim)
		switch {
		case bound != nil && bound.Spec.NodeAffinity != nil:
			allowed.bound = append(allowed.bound, bound)
			allowed.add("bound", bound.Spec.NodeAffinity)
		case bound == nil && claim.Spec.VolumeName == "" && r.isStatic(claim):
			allowed.waiting = append(allowed.waiting, claim)
			allowed.add("waiting", &claim.Spec)
		}
	}
	return allowed
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

// add adds an object to the key.
func (a *volumeNodes) add(kind string, object interface{ Marshal() ([]byte, error) }) {
	encoded, err := object.Marshal()
	if err != nil {
		return
	}
	key := binary.AppendUvarint(append([]byte(a.key), kind...), uint64(len(encoded)))
	a.key = string(append(key, encoded...))
}

// volumeOf returns the volume that a claim is or will be bound to, nil if none is known.
func (r *volumeReader) volumeOf(claim *v1.PersistentVolumeClaim) *v1.PersistentVolume {
	if claim.Spec.VolumeName == "" {
		r.list()
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

// list sorts the volumes that exist, once in a plan.
func (r *volumeReader) list() {
	if r.listed {
		return
	}
	r.listed = true
	all, err := r.source.ListVolumes()
	if err != nil {
		return
	}
	r.free, r.freeAt = map[string][]*v1.PersistentVolume{}, map[[2]string][]*v1.PersistentVolume{}
	r.promised = map[[2]string]*v1.PersistentVolume{}
	for _, v := range all {
		class := volume.GetPersistentVolumeClass(v)
		switch host := hostOf(v); {
		case v.Spec.ClaimRef != nil:
			r.promised[[2]string{v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name}] = v
		case v.Status.Phase != v1.VolumeAvailable:
		case host != "":
			r.freeAt[[2]string{class, host}] = append(r.freeAt[[2]string{class, host}], v)
		default:
			r.free[class] = append(r.free[class], v)
		}
	}
}

// hostOf returns the host name that a local volume requires of its node, "" if it requires
// something else.
func hostOf(v *v1.PersistentVolume) string {
	if v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil || len(v.Spec.NodeAffinity.Required.NodeSelectorTerms) != 1 {
		return ""
	}
	for _, e := range v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions {
		if e.Key == v1.LabelHostname && e.Operator == v1.NodeSelectorOpIn && len(e.Values) == 1 {
			return e.Values[0]
		}
	}
	return ""
}

// reachable reports whether the pod's volumes can be used on the node.
func (a *volumeNodes) reachable(node *v1.Node) bool {
	for _, v := range a.bound {
		if volume.CheckNodeAffinity(v, node.Labels) != nil {
			return false
		}
	}
	return true
}

// room returns for how many of so many pods alike the node has volumes that no claim has.
func (r *volumeReader) room(allowed *volumeNodes, node *v1.Node, pods int) int {
	taken := map[string]*v1.PersistentVolume{}
	for n := range pods {
		for _, claim := range allowed.waiting {
			found := r.match(claim, node, taken)
			if found == nil {
				return n
			}
			taken[found.Name] = found
		}
	}
	return pods
}

// match returns the volume that a claim would get on the node, nil if there is none.
func (r *volumeReader) match(claim *v1.PersistentVolumeClaim, node *v1.Node, taken map[string]*v1.PersistentVolume) *v1.PersistentVolume {
	class := volume.GetPersistentVolumeClaimClass(claim)
	for _, volumes := range [][]*v1.PersistentVolume{r.freeAt[[2]string{class, node.Labels[v1.LabelHostname]}], r.free[class]} {
		if found, err := volume.FindMatchingVolume(claim, volumes, node, taken, false, true); err == nil && found != nil {
			return found
		}
	}
	return nil
}
