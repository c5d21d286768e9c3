// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// taintPlugin is the stock plugin that refuses nodes with taints.
const taintPlugin = "TaintToleration"

// The refusals that the stock plugins have for the nodes which a nodeRule excludes.
var (
	affinityConflict = filterRefusal{plugin: "NodeAffinity", message: "node(s) didn't match Pod's node affinity/selector"}
	volumeConflict   = filterRefusal{plugin: "VolumeBinding", message: "node(s) didn't match PersistentVolume's node affinity"}
	zoneConflict     = filterRefusal{plugin: "VolumeZone", message: "node(s) had no available volume zone"}
	noVolume         = filterRefusal{plugin: "VolumeBinding", message: "node(s) didn't find available persistent volumes to bind"}
)

// nodeRule says which nodes the members of a role may use, by their node selector, node
// affinity and volumes. The planner gets these nodes as a list, so that it tries no other
// nodes.
type nodeRule struct {
	// affinity is nil for a role without node selector and required node affinity.
	affinity *nodeaffinity.RequiredNodeAffinity
	volumes  *podVolumes
}

// newNodeRule returns which nodes pods like this one may use, nil if all.
func newNodeRule(pod *v1.Pod, volumes *podVolumes) *nodeRule {
	rule := &nodeRule{volumes: volumes}
	if choosesNodes(pod) {
		required := nodeaffinity.GetRequiredNodeAffinity(pod)
		rule.affinity = &required
	}
	if rule.affinity == nil && !rule.volumes.limitNodes() {
		return nil
	}
	return rule
}

// choosesNodes reports whether the pod has a node selector or a required node affinity.
func choosesNodes(pod *v1.Pod) bool {
	affinity := pod.Spec.Affinity
	return len(pod.Spec.NodeSelector) > 0 ||
		affinity != nil && affinity.NodeAffinity != nil && affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil
}

// refusal returns the refusal that the stock filters would have for a node that the rule
// excludes. ok is false for a node that the members may use. refusal does not check whether
// volumes are free for claims that wait for one (noVolume).
func (r *nodeRule) refusal(node *v1.Node) (refusal filterRefusal, ok bool) {
	if r.affinity != nil {
		if match, err := r.affinity.Match(node); err == nil && !match {
			return affinityConflict, true
		}
	}
	if !r.volumes.reachable(node) {
		return volumeConflict, true
	}
	if !r.volumes.inZones(node) {
		return zoneConflict, true
	}
	return filterRefusal{}, false
}
