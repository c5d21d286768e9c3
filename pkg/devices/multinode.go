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

// countMultiNode counts devices that several nodes can use, slice by slice. Each of these nodes counts all of them.
// That is too many if two nodes use them; the stock Filter then stops a plan that relied on the count.
func (l *layout) countMultiNode(inv *Inventory) []multiNodeSlice {
	var list []multiNodeSlice
	for _, p := range inAllocatorOrder(inv.multiNode) {
		devices := multiNodeDevices(p)
		signatures := make([]signature, len(devices))
		for i, d := range devices {
			signatures[i] = l.signatureOf(d, "", 0)
		}
		free := l.available(devices, signatures, &inv.ledger)
		for i, d := range devices {
			if free[i] == 0 {
				continue
			}
			slice := nodesOf(d)
			slice.free = make([]int, len(l.kinds.kinds))
			slice.free[l.kinds.of[signatures[i]]] = free[i]
			if last := len(list) - 1; last >= 0 && list[last].sameNodes(&slice) {
				list[last].add(slice.free)
				continue
			}
			list = append(list, slice)
		}
	}
	return list
}

// nodesOf returns where a device can be used. The slice defines that, or else the device itself.
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

// sameNodes compares selectors by identity: the devices of one slice share theirs.
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

// selectsOnlyRDMA returns true if only an RDMA NIC can satisfy the query: by its class, or because on some node every
// device that satisfies it is an RDMA NIC. A cluster may have plain NICs too, but these alone serve no RDMA request.
func (inv *Inventory) selectsOnlyRDMA(q *deviceQuery) bool {
	if rdmaClasses[q.class] {
		return true
	}
	if n := inv.nodes.get(q.rdmaNode); n != nil && inv.onlyRDMAOn(q, n) {
		return true
	}
	if q.rdmaSearchedAt == inv.spec {
		return false
	}
	for _, n := range inv.nodes.nodes {
		if n != nil && inv.onlyRDMAOn(q, n) {
			q.rdmaNode = n.name
			return true
		}
	}
	q.rdmaNode, q.rdmaSearchedAt = "", inv.spec
	return false
}

func (inv *Inventory) onlyRDMAOn(q *deviceQuery, n *node) bool {
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
