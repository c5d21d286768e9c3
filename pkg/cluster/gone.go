// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"maps"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
)

// GonePods is a set of pods on nodes that a dry run takes to be gone. The nil set is empty.
type GonePods struct {
	byNode map[string]map[types.UID]*v1.Pod
	uids   map[types.UID]bool
	// Version increases with every change of the set.
	Version int
}

// NewGonePods returns a set with these pods.
func NewGonePods(pods []*v1.Pod) *GonePods {
	g := &GonePods{byNode: map[string]map[types.UID]*v1.Pod{}, uids: make(map[types.UID]bool, len(pods))}
	for _, pod := range pods {
		g.Remove(pod)
	}
	return g
}

// Has returns true if the pod is taken to be gone.
func (g *GonePods) Has(pod types.UID) bool { return g != nil && g.uids[pod] }

// On returns the pods of the set that are on the node.
func (g *GonePods) On(node string) map[types.UID]*v1.Pod {
	if g == nil {
		return nil
	}
	return g.byNode[node]
}

// All calls do for each pod of the set.
func (g *GonePods) All(do func(*v1.Pod)) {
	if g == nil {
		return
	}
	for _, pods := range g.byNode {
		for _, pod := range pods {
			do(pod)
		}
	}
}

// Clone returns a copy of the set that can be changed.
func (g *GonePods) Clone() *GonePods {
	if g == nil {
		return NewGonePods(nil)
	}
	next := &GonePods{byNode: make(map[string]map[types.UID]*v1.Pod, len(g.byNode)), uids: maps.Clone(g.uids), Version: g.Version}
	for node, pods := range g.byNode {
		next.byNode[node] = maps.Clone(pods)
	}
	return next
}

// Remove takes the pod to be gone.
func (g *GonePods) Remove(pod *v1.Pod) {
	if g.uids[pod.UID] {
		return
	}
	node := pod.Spec.NodeName
	if g.byNode[node] == nil {
		g.byNode[node] = map[types.UID]*v1.Pod{}
	}
	g.byNode[node][pod.UID] = pod
	g.uids[pod.UID] = true
	g.Version++
}

// PutBack takes the pod to be there again.
func (g *GonePods) PutBack(pod *v1.Pod) {
	if !g.uids[pod.UID] {
		return
	}
	delete(g.byNode[pod.Spec.NodeName], pod.UID)
	delete(g.uids, pod.UID)
	g.Version++
}

// goneKey is the CycleState key of the pods that are taken to be gone.
const goneKey fwk.StateKey = "dovetail/gone"

// goneMark is the value stored under goneKey.
type goneMark struct{ gone *GonePods }

// Clone returns m: nothing changes the set once it is stored.
func (m goneMark) Clone() fwk.StateData { return m }

// SetGone marks a CycleState before its PreFilter plugins run: the pods of the set are taken
// to be gone, and the devices that only they use to be free. The set must not change afterwards;
// it can mark any number of states. The mark concerns devices only. The caller must remove the
// pods from the NodeInfos and, with RunPreFilterExtensionRemovePod, from the states of other
// plugins.
func SetGone(state fwk.CycleState, gone *GonePods) { state.Write(goneKey, goneMark{gone}) }

// GoneOf returns the pods that are taken to be gone in the cycle, nil if there are none.
func GoneOf(state fwk.CycleState) *GonePods {
	if data, err := state.Read(goneKey); err == nil {
		if m, ok := data.(goneMark); ok {
			return m.gone
		}
	}
	return nil
}

// Unused returns a copy of the claim as it is when no pod uses it: without an allocation.
func Unused(claim *resourceapi.ResourceClaim) *resourceapi.ResourceClaim {
	claim = claim.DeepCopy()
	claim.Status = resourceapi.ResourceClaimStatus{}
	return claim
}

// unusedIf returns the claim, or Unused of it if freed is true.
func unusedIf(freed bool, claim *resourceapi.ResourceClaim) *resourceapi.ResourceClaim {
	if freed {
		return Unused(claim)
	}
	return claim
}
