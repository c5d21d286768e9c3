// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import v1 "k8s.io/api/core/v1"

// maxAssessments bounds the answers remembered for one node; the roles of a gang are few.
const maxAssessments = 4

// Assessment is what a node's devices mean for a pod.
type Assessment struct {
	// Shortage is a sentence that says which devices the node lacks, "" if counts do not rule the node out. It is
	// never set where the stock allocator would find devices.
	Shortage string
	// Order is how to show the node's devices; nil if there is nothing to choose, as Inventory.Order says.
	Order *Order
	// Demand is what the pod takes of GPUs and NICs that the node has.
	Want Demand
}

// assessmentKey is what an Assessment answers, besides the node as it is.
type assessmentKey struct {
	request string
	// plugin is the first extended resource of the need that the node's device plugins serve; a second one is rare
	// and not remembered.
	plugin v1.ResourceName
	rail   int
}

// NoRail says that it does not matter which unit a pod takes its devices from.
const NoRail = -1

// Assess looks at a node on behalf of a pod. The rail is the unit that other members of its gang use, or NoRail. Extended resources for which plugin says true come from the node's device
// plugins and need no device. The answer is remembered until the node changes; treat it as read-only.
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
	asked := assessmentKey{request: request.Key, rail: rail}
	if len(served) > 0 {
		asked.plugin = served[0]
	}
	if known, ok := n.assessed[asked]; ok && len(inv.multiNode) == 0 {
		return known
	}
	answer := inv.assess(n, request, rail, served)
	if len(served) > 1 {
		return answer
	}
	if n.assessed == nil || len(n.assessed) >= maxAssessments {
		n.assessed = map[assessmentKey]Assessment{}
	}
	n.assessed[asked] = answer
	return answer
}

func (inv *Inventory) assess(n *node, request *Request, rail int, served []v1.ResourceName) Assessment {
	answer := Assessment{Shortage: inv.shortage(n, request, served)}
	if answer.Shortage != "" || request.Empty() {
		return answer
	}
	var rails []int
	if rail != NoRail {
		rails = []int{rail}
	}
	if order, ok := inv.order(n, request, rails); ok {
		answer.Order, answer.Want = &order, order.Want
		return answer
	}
	answer.Want = inv.candidates(n, &request.options[0], servesOne).demand
	return answer
}

// served lists the need's extended resources that do not come from devices, in order.
func (r *Request) served(plugin func(v1.ResourceName) bool) []v1.ResourceName {
	var names []v1.ResourceName
	for i := range r.relaxed.requests {
		if name := r.relaxed.requests[i].plugin; name != "" && plugin(name) {
			names = append(names, name)
		}
	}
	return names
}
