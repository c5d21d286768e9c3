// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import v1 "k8s.io/api/core/v1"

// Assessment is the result of Assess: a node's devices for one pod.
type Assessment struct {
	// Shortage is a sentence that names the missing devices, "" if counts do not exclude
	// the node. It is "" whenever the stock allocator would find devices.
	Shortage string
	// Order is the order of the node's devices for the allocator. It is nil if there is
	// nothing to choose, as in Inventory.Order.
	Order *Order
	// Demand is the pod's demand for the node's GPUs and NICs.
	Demand Demand
}

// assessmentKey holds the inputs of an Assessment other than the node.
type assessmentKey struct {
	request string
	// plugin is the first extended resource of the request that the node's device plugins
	// serve. A second one is rare; such an assessment is not cached.
	plugin v1.ResourceName
	rail   int
}

// NoRail means that a pod may take its devices from any unit.
const NoRail = -1
