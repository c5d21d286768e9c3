// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import v1 "k8s.io/api/core/v1"

// maxAssessments is the maximum number of cached assessments of one node. Few are needed:
// most pods of a gang (a group of pods that start together) request the same devices.
const maxAssessments = 4

// Assess counts a node's devices for a pod and orders them for the stock allocator. rail is
// the index of the alignment unit (devices that are close to each other) that other members
// of the pod's gang use, or NoRail for any. Extended resources for which plugin returns true
// come from the node's device plugins and need no DRA device. The result is cached until the
// node changes, unless the request has several such resources or the cluster has devices
// that several nodes can use. Treat the result as read-only.
func (inv *Inventory) Assess(node string, request *Request, rail int, plugin func(v1.ResourceName) bool) Assessment {
	served := request.served(plugin)
	inv.mu.Lock()
	defer inv.mu.Unlock()
	n := inv.node(node)
	if n == nil {
		n = newNode(node)
	}
	if n.assessedAt != n.revision {
		n.assessed, n.assessedAt = nil, n.revision
	}
	key := assessmentKey{request: request.Key, rail: rail}
	if len(served) > 0 {
		key.plugin = served[0]
	}
	if cached, ok := n.assessed[key]; ok && len(inv.multiNode) == 0 {
		return cached
	}
	assessment := inv.assess(n, request, rail, served)
	if len(served) > 1 {
		return assessment
	}
	if n.assessed == nil || len(n.assessed) >= maxAssessments {
		n.assessed = map[assessmentKey]Assessment{}
	}
	n.assessed[key] = assessment
	return assessment
}

func (c *contents) assess(n *node, request *Request, rail int, served []v1.ResourceName) Assessment {
	assessment := Assessment{Shortage: c.shortage(n, request, served)}
	if assessment.Shortage != "" || request.Empty() {
		return assessment
	}
	var rails []int
	if rail != NoRail {
		rails = []int{rail}
	}
	if order, ok := c.order(n, request, rails); ok {
		assessment.Order, assessment.Demand = &order, order.Demand
		return assessment
	}
	assessment.Demand = candidatesOf(n, &request.options[0], servesOne, &c.ledger).demand
	return assessment
}
