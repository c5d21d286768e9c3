// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"maps"

	v1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
)

// AvoidHeld returns the nodes that a pod without a gang must not use if the planner has found no
// node for it: those of AvoidReserved, and those where room is being made for gangs of the same
// or of higher priority. nil means none. It records the pod, so that the pod is activated when the
// room is not held any more.
func (t *Tracker) AvoidHeld(pod *v1.Pod, reserved map[string]bool) map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	cleared := t.clearedNodes(corev1helpers.PodPriority(pod))
	if len(cleared) == 0 {
		return reserved
	}
	if t.options.Exists(pod) {
		t.displaced[pod.UID] = pod
	}
	maps.Copy(cleared, reserved)
	return cleared
}

// clearedNodes returns the nodes that are held for gangs for which pods are evicted, except for
// pods of a higher priority than the gang's. It returns nil if there are none.
func (t *Tracker) clearedNodes(priority int32) map[string]bool {
	var nodes map[string]bool
	for _, g := range t.gangs {
		if !g.clearing.active() || priority > g.priority {
			continue
		}
		for _, node := range g.clearing.room.Assignment.Nodes {
			if nodes == nil {
				nodes = map[string]bool{}
			}
			nodes[node] = true
		}
	}
	return nodes
}

// clears reports whether pods are being evicted for a gang.
func (t *Tracker) clears() bool {
	for _, g := range t.gangs {
		if g.clearing.active() {
			return true
		}
	}
	return false
}
