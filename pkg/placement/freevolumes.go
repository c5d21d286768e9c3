// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
)

// freeVolumes has the existing PersistentVolumes that a claim may still get.
type freeVolumes struct {
	// listed is true once the volumes have been listed.
	listed bool
	// free and freeAt have the available volumes that no claim has: free, by storage class,
	// the volumes that are not tied to one host name; freeAt, by storage class and host
	// name, the volumes that are tied to one. promised has the volumes that name a claim
	// (spec.claimRef), by the claim's namespace and name.
	free     map[string][]*v1.PersistentVolume
	freeAt   map[[2]string][]*v1.PersistentVolume
	promised map[[2]string]*v1.PersistentVolume
}

// list reads the existing PersistentVolumes and sorts them into free, freeAt and
// promised, once in a plan.
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

// hasFree reports whether a storage class has volumes that no claim has.
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

// room returns how many of this number of equal pods find free volumes on the node for
// all their claims. The pods share the joint claims, so one volume is enough for each of
// these.
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

// match returns the smallest free volume that satisfies a claim on the node, nil if there
// is none. taken has the volumes that are no longer free.
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

// hostOf returns the host name that the node affinity of a local volume requires, "" if
// it requires something else.
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
