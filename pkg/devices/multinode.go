// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// multiNodeSlice has the free devices, by kind (a set of interchangeable devices), that
// one named node, all nodes, or the nodes matched by a selector can use.
type multiNodeSlice struct {
	nodeName string
	allNodes bool
	selector *v1.NodeSelector
	free     []int
}

// countMultiNode counts the devices that several nodes can use, slice by slice. A free device
// is counted on each node that can use it, although it exists only once. The stock
// scheduler's Filter plugins reject a plan that relied on it twice.
func countMultiNode(pools map[poolKey]*pool, kinds *kindTable, used *ledger) []multiNodeSlice {
	var list []multiNodeSlice
	for _, p := range inAllocatorOrder(pools) {
		devices := multiNodeDevices(p)
		signatures := make([]signature, len(devices))
		for i, d := range devices {
			signatures[i] = kinds.queries.signatureOf(d, "", 0)
		}
		free := kinds.queries.available(devices, signatures, used)
		for i, d := range devices {
			if free[i] == 0 {
				continue
			}
			slice := nodesOf(d)
			slice.free = make([]int, len(kinds.kinds))
			slice.free[kinds.of[signatures[i]]] = free[i]
			if last := len(list) - 1; last >= 0 && list[last].sameNodes(&slice) {
				list[last].add(slice.free)
				continue
			}
			list = append(list, slice)
		}
	}
	return list
}

// nodesOf returns the nodes that can use a device, without counts. The device's slice
// names them, or the device itself if the slice says so.
func nodesOf(d *device) multiNodeSlice {
	name, selector, all := d.slice.Spec.NodeName, d.slice.Spec.NodeSelector, d.slice.Spec.AllNodes
	if isSet(d.slice.Spec.PerDeviceNodeSelection) {
		name, selector, all = d.spec.NodeName, d.spec.NodeSelector, d.spec.AllNodes
	}
	usable := multiNodeSlice{selector: selector, allNodes: isSet(all)}
	if name != nil {
		usable.nodeName = *name
	}
	return usable
}

// contains returns true if the node is one of those that can use the devices. It returns
// an error if the node selector is invalid.
func (r *multiNodeSlice) contains(node *v1.Node) (bool, error) {
	matches, err := structured.NodeMatches(structured.Features{}, node, r.nodeName, r.allNodes, r.selector)
	if err != nil {
		return false, fmt.Errorf("matching devices of several nodes with node %s: %w", node.Name, err)
	}
	return matches, nil
}

// sameNodes returns true if the same nodes can use the devices of both slices. It compares
// selectors by identity: the devices of one slice share one selector.
func (r *multiNodeSlice) sameNodes(other *multiNodeSlice) bool {
	return r.nodeName == other.nodeName && r.allNodes == other.allNodes && samePointer(r.selector, other.selector)
}

func samePointer(a, b *v1.NodeSelector) bool { return a == b }

func (r *multiNodeSlice) add(free []int) {
	for kind, count := range free {
		r.free[kind] += count
	}
}

func isSet(flag *bool) bool { return flag != nil && *flag }
