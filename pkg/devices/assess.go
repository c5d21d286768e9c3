// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import v1 "k8s.io/api/core/v1"

// maxAssessments bounds the assessments cached for one node; a gang has few roles.
const maxAssessments = 4

// Assessment is what a node's devices offer a pod.
type Assessment struct {
	// Shortage is a sentence that names the devices the node lacks, "" if counts do not exclude the node. It is never
	// set where the stock allocator would find devices.
	Shortage string
	// Order is the order in which to show the node's devices. It is nil if there is nothing to choose, as for
	// Inventory.Order.
	Order *Order
	// Want is what the pod takes of the GPUs and NICs that the node has.
	Want Demand
}

// assessmentKey is what an Assessment depends on besides the node.
type assessmentKey struct {
	request string
	// plugin is the first extended resource of the request that the node's device plugins serve. A second one is
	// rare; such an assessment is not cached.
	plugin v1.ResourceName
	rail   int
}

// NoRail means that a pod may take its devices from any unit.
const NoRail = -1

// Assess returns what a node offers a pod. The rail is the unit that other members of its gang use, or NoRail.
// Extended resources for which plugin returns true come from the node's device plugins and need no device. The result
// is cached until the node changes; treat it as read-only.
func (inv *Inventory) Assess(node string, request *Request, rail int, plugin func(v1.ResourceName) bool) Assessment {
	served := request.served(plugin)
	inv.mu.Lock()
	defer inv.mu.Unlock()
	n := inv.nodes.get(node)
	if n == nil {
		n = newNode(node)
	}
	n.refresh(inv.options.PairMaps)
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

func (inv *Inventory) assess(n *node, request *Request, rail int, served []v1.ResourceName) Assessment {
	assessment := Assessment{Shortage: inv.shortage(n, request, served)}
	if assessment.Shortage != "" || request.Empty() {
		return assessment
	}
	var rails []int
	if rail != NoRail {
		rails = []int{rail}
	}
	if order, ok := inv.order(n, request, rails); ok {
		assessment.Order, assessment.Want = &order, order.Want
		return assessment
	}
	assessment.Want = inv.candidates(n, &request.options[0], servesOne).demand
	return assessment
}

// served lists, in order, the request's extended resources that do not come from devices.
func (r *Request) served(plugin func(v1.ResourceName) bool) []v1.ResourceName {
	var names []v1.ResourceName
	for i := range r.relaxed.requests {
		if name := r.relaxed.requests[i].plugin; name != "" && plugin(name) {
			names = append(names, name)
		}
	}
	return names
}
