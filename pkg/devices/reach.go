// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Reach says where several pods can use devices that are allocated once for all of them.
type Reach struct {
	// OneNode says that devices of the need are such as only their own node can use, or may be: then all pods must stand
	// on one node.
	OneNode bool
	// NodeSets are where devices that several nodes can use meet the need, in the allocator's order. There are none with
	// OneNode, and where no place has enough of them.
	NodeSets []NodeSet
}

// NodeSet is the nodes that can use some devices.
type NodeSet struct{ of multiNodeSlice }

// AllNodes says that every node is in the place.
func (p NodeSet) AllNodes() bool { return p.of.allNodes }

// Contains says whether the node is in the place.
func (p NodeSet) Contains(node *v1.Node) (bool, error) {
	matches, err := structured.NodeMatches(structured.Features{}, node, p.of.nodeName, p.of.allNodes, p.of.selector)
	if err != nil {
		return false, fmt.Errorf("matching devices of several nodes with node %s: %w", node.Name, err)
	}
	return matches, nil
}

// Reach says where the devices of a need that the view was made with can be used, the least option counting.
func (v *View) Reach(request *Request) Reach {
	option := v.Least(request)
	if len(option.Demands) == 0 {
		return Reach{OneNode: len(option.Permits) > 0} // all devices of a kind: the node decides which
	}
	for _, demand := range option.Demands {
		if slices.ContainsFunc(demand.Kinds, func(kind int) bool { return v.localKinds[kind] }) {
			return Reach{OneNode: true}
		}
	}
	var reach Reach
	for i, slice := range v.multiNode {
		known := slices.ContainsFunc(v.multiNode[:i], func(before multiNodeSlice) bool { return before.samePlace(&slice) })
		if !known && v.meets(&slice, option.Demands) {
			reach.NodeSets = append(reach.NodeSets, NodeSet{of: slice})
		}
	}
	return reach
}

// meets says whether the devices of a place, and those of every node, are enough for each demand.
func (v *View) meets(place *multiNodeSlice, demands []DeviceDemand) bool {
	for _, demand := range demands {
		free := 0
		for i := range v.multiNode {
			slice := &v.multiNode[i]
			if !slice.allNodes && !slice.samePlace(place) {
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

// localKinds says of each kind whether devices of it are about that belong to one node, free or not.
func (l *layout) localKinds() []bool {
	own := make([]bool, len(l.kinds.kinds))
	for s := range l.present {
		if kind, counted := l.kinds.of[s]; counted {
			own[kind] = true
		}
	}
	return own
}
