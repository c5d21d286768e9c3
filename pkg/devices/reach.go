// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"

	v1 "k8s.io/api/core/v1"
)

// Reach says on which nodes several pods can use devices that are allocated once for all
// of these pods.
type Reach struct {
	// OneNode is true if some of the devices that satisfy the request can be used on one
	// node only. Then all pods must run on one node.
	OneNode bool
	// NodeSets has the sets of nodes, in the stock allocator's order, for which there are
	// enough devices that all nodes of the set can use. It is empty with OneNode, and if no
	// set has enough devices.
	NodeSets []NodeSet
}

// NodeSet is a set of nodes that can use the same devices.
type NodeSet struct{ of multiNodeSlice }

// AllNodes returns true if every node is in the set.
func (p NodeSet) AllNodes() bool { return p.of.allNodes }

// Contains returns true if the node is in the set.
func (p NodeSet) Contains(node *v1.Node) (bool, error) {
	return p.of.contains(node)
}

// Reach returns the nodes that can use the devices of a request. The view must have been
// made with the request. If the request has alternatives (firstAvailable), Reach uses the
// smallest number of devices that one of them asks for.
func (v *View) Reach(request *Request) Reach {
	option := v.Least(request)
	if len(option.Demands) == 0 {
		return Reach{OneNode: len(option.PodLimits) > 0} // a request for all devices is for those of one node
	}
	for _, demand := range option.Demands {
		if slices.ContainsFunc(demand.Kinds, func(kind int) bool { return v.localKinds[kind] }) {
			return Reach{OneNode: true}
		}
	}
	var reach Reach
	for i, slice := range v.multiNode {
		listed := slices.ContainsFunc(v.multiNode[:i], func(before multiNodeSlice) bool { return before.sameNodes(&slice) })
		if !listed && v.meets(&slice, option.Demands) {
			reach.NodeSets = append(reach.NodeSets, NodeSet{of: slice})
		}
	}
	return reach
}

// meets returns true if each demand, without the other demands, finds enough devices that
// all these nodes can use. These are the devices for this set of nodes and those for all
// nodes.
func (v *View) meets(nodes *multiNodeSlice, demands []DeviceDemand) bool {
	for _, demand := range demands {
		free := 0
		for i := range v.multiNode {
			slice := &v.multiNode[i]
			if !slice.allNodes && !slice.sameNodes(nodes) {
				continue
			}
			for _, kind := range demand.Kinds {
				free += slice.free[kind]
			}
		}
		if free < demand.Count {
			return false
		}
	}
	return true
}
