// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import v1 "k8s.io/api/core/v1"

// Assessment is the result of Assess: what the devices of a node offer to one pod.
type Assessment struct {
	// Shortage is a sentence that names the missing devices, "" if counts do not exclude
	// the node. It is "" whenever the stock allocator would find devices.
	Shortage string
	// Order is the order of the node's devices for the allocator. It is nil if there is
	// nothing to choose: the pod requests no GPUs or NICs that can be ordered, or the
	// node lacks them.
	Order *Order
	// Demand is how many GPUs and NICs the pod needs of the node.
	Demand Demand
}

// assessmentKey has the inputs, other than the node, that an Assessment depends on.
type assessmentKey struct {
	request string
	// plugin is the first extended resource of the request that the node's device plugins
	// serve. An assessment with a second such resource is rare and is not cached.
	plugin v1.ResourceName
	// rail is the index of the alignment unit that the pod prefers, or NoRail.
	rail int
}

// NoRail means that a pod may take its devices from any alignment unit (devices of a node
// that are close to each other).
const NoRail = -1
