// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package snapshot

import fwk "k8s.io/kube-scheduler/framework"

// plannedKey is where a plan's answer for the pod of a scheduling cycle stands.
const plannedKey fwk.StateKey = "dovetail/planned"

// plannedNode is the only node that the pod of a cycle may go to.
type plannedNode string

// Clone returns n: it never changes.
func (n plannedNode) Clone() fwk.StateData { return n }

// SetPlannedNode notes in a pod's cycle which node a plan has for it, for the
// plugins that come after.
func SetPlannedNode(state fwk.CycleState, node string) {
	state.Write(plannedKey, plannedNode(node))
}

// PlannedNode returns the node that a plan has for the pod of the cycle, "" if
// there is no plan.
func PlannedNode(state fwk.CycleState) string {
	data, err := state.Read(plannedKey)
	if err != nil {
		return "" // nobody planned
	}
	node, _ := data.(plannedNode)
	return string(node)
}
