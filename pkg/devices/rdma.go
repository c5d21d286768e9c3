// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// selectsOnlyRDMA returns true if only RDMA NICs are meant by the query (what a request
// demands of a device): by its class, or because on some node every device that satisfies
// it is an RDMA NIC. Plain NICs of other nodes that also satisfy the query do not change the
// result.
func (c *contents) selectsOnlyRDMA(q *deviceQuery) bool {
	if rdmaClasses[q.class] {
		return true
	}
	if n := c.nodes.get(q.rdmaNode); n != nil && c.onlyRDMAOn(q, n) {
		return true
	}
	if q.rdmaSearchedAt == c.spec {
		return false
	}
	for _, n := range c.nodes.nodes {
		if n != nil && c.onlyRDMAOn(q, n) {
			q.rdmaNode = n.name
			return true
		}
	}
	q.rdmaNode, q.rdmaSearchedAt = "", c.spec
	return false
}

func (c *contents) onlyRDMAOn(q *deviceQuery, n *node) bool {
	n.refresh(c.pairMaps)
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
