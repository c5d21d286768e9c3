// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
)

// staticProvisioner is the provisioner of classes whose volumes an administrator creates.
const staticProvisioner = "kubernetes.io/no-provisioner"

// freeVolumes are the volumes that a claim may still get.
type freeVolumes struct {
	// listed reports that the volumes were listed.
	listed bool
	// free has the volumes that no claim has: by storage class those of any node, and by
	// storage class and host name those of one node. promised has the volumes that name
	// their claim and are not bound to it yet, by the claim's namespace and name.
	free     map[string][]*v1.PersistentVolume
	freeAt   map[[2]string][]*v1.PersistentVolume
	promised map[[2]string]*v1.PersistentVolume
}

// list sorts the volumes that exist, once in a plan.
func (r *freeVolumes) list(source Volumes) {
	if r.listed {
		return
	}
	r.listed = true
	all, err := source.ListVolumes()
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

// hasFree reports whether a class has volumes that no claim has.
func (r *freeVolumes) hasFree(class string) bool {
	if len(r.free[class]) > 0 {
		return true
	}
	for at := range r.freeAt {
		if at[0] == class {
			return true
		}
	}
	return false
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
func (p *podVolumes) reachable(node *v1.Node) bool {
	for _, v := range p.bound {
		if volume.CheckNodeAffinity(v, node.Labels) != nil {
			return false
		}
	}
	return p.selected == "" || p.selected == node.Name
}

// room returns for how many of so many pods alike the node has volumes that no claim has.
func (r *freeVolumes) room(volumes *podVolumes, node *v1.Node, pods int) int {
	for _, claim := range volumes.joint {
		if r.match(claim, node, nil) == nil {
			return 0
		}
	}
	if len(volumes.waiting) == 0 {
		return pods
	}
	taken := map[string]*v1.PersistentVolume{}
	for n := range pods {
		for _, claim := range volumes.waiting {
			found := r.match(claim, node, taken)
			if found == nil {
				return n
			}
			taken[found.Name] = found
		}
	}
	return pods
}

// match returns the volume that a claim would get on the node, nil if there is none: the
// smallest that will do.
func (r *freeVolumes) match(claim *v1.PersistentVolumeClaim, node *v1.Node, taken map[string]*v1.PersistentVolume) *v1.PersistentVolume {
	class := volume.GetPersistentVolumeClaimClass(claim)
	var smallest *v1.PersistentVolume
	for _, volumes := range [][]*v1.PersistentVolume{r.freeAt[[2]string{class, node.Labels[v1.LabelHostname]}], r.free[class]} {
		found, err := volume.FindMatchingVolume(claim, volumes, node, taken, false, true)
		if err == nil && found != nil && (smallest == nil || found.Spec.Capacity.Storage().Cmp(*smallest.Spec.Capacity.Storage()) < 0) {
			smallest = found
		}
	}
	return smallest
}

// limitNodes reports whether the pod's volumes exclude nodes, or nodes have a number of
// them.
func (p *podVolumes) limitNodes() bool {
	return len(p.bound)+len(p.zoned)+len(p.waiting)+len(p.joint) > 0 || p.selected != ""
}
