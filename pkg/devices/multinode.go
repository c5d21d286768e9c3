// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
)

func everySlice(*resourceapi.ResourceSlice) bool { return true }

// multiNodeDevices are the devices of a usable pool that more than one node may use.
func multiNodeDevices(p *pool) []*device {
	if p.state.problem != "" {
		return nil
	}
	return p.devices(func(slice *resourceapi.ResourceSlice) bool { return nodeOf(slice) == "" })
}

// countMultiNode counts devices that several nodes can use, slice by slice. Every node that they reach counts all of them:
// that is more than exists when two nodes use them, and a plan that relied on it is stopped by the stock Filter.
func (l *layout) countMultiNode(inv *Inventory) []multiNodeSlice {
	var list []multiNodeSlice
	for _, p := range inAllocatorOrder(inv.multiNode) {
		devices := multiNodeDevices(p)
		signatures := make([]signature, len(devices))
		for i, d := range devices {
			signatures[i] = l.sign(d, "", 0)
		}
		free := l.available(devices, signatures, &inv.ledger)
		for i, d := range devices {
			if free[i] == 0 {
				continue
			}
			slice := placeOf(d)
			slice.free = make([]int, len(l.kinds.kinds))
			slice.free[l.kinds.of[signatures[i]]] = free[i]
			if last := len(list) - 1; last >= 0 && list[last].samePlace(&slice) {
				list[last].add(slice.free)
				continue
			}
			list = append(list, slice)
		}
	}
	return list
}

// placeOf says where a device can be used: its slice decides, or the device itself.
func placeOf(d *device) multiNodeSlice {
	name, selector, all := d.slice.Spec.NodeName, d.slice.Spec.NodeSelector, d.slice.Spec.AllNodes
	if isSet(d.slice.Spec.PerDeviceNodeSelection) {
		name, selector, all = d.spec.NodeName, d.spec.NodeSelector, d.spec.AllNodes
	}
	place := multiNodeSlice{selector: selector, allNodes: isSet(all)}
	if name != nil {
		place.nodeName = *name
	}
	return place
}

// samePlace compares selectors by identity: the devices of one slice share theirs.
func (r *multiNodeSlice) samePlace(other *multiNodeSlice) bool {
	return r.nodeName == other.nodeName && r.allNodes == other.allNodes && samePointer(r.selector, other.selector)
}

func samePointer(a, b *v1.NodeSelector) bool { return a == b }

func (r *multiNodeSlice) add(free []int) {
	for kind, count := range free {
		r.free[kind] += count
	}
}

func isSet(flag *bool) bool { return flag != nil && *flag }

// wantsRDMA says whether only an RDMA NIC can satisfy the ask: by its class, or because somewhere in the cluster every
// device that satisfies it is one. A cluster may hold plain NICs too, but no RDMA request is served by those alone.
func (inv *Inventory) wantsRDMA(q *deviceQuery) bool {
	if rdmaClasses[q.class] {
		return true
	}
	if n := inv.nodes.get(q.rdmaNode); n != nil && inv.onlyRDMA(q, n) {
		return true
	}
	if q.rdmaSearchedAt == inv.spec {
		return false
	}
	for _, n := range inv.nodes.nodes {
		if n != nil && inv.onlyRDMA(q, n) {
			q.rdmaNode = n.name
			return true
		}
	}
	q.rdmaNode, q.rdmaSearchedAt = "", inv.spec
	return false
}

func (inv *Inventory) onlyRDMA(q *deviceQuery, n *node) bool {
	n.refresh(inv.options.PairMaps)
	found := false
	for _, d := range n.devices {
		if !q.match(d).selects {
			continue
		}
		if !d.rdma {
			return false
		}
		found = true
	}
	return found
}
