// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import v1 "k8s.io/api/core/v1"

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
