// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Request is what one pod requests of a node's devices. Requests with equal keys are interchangeable when counting.
type Request struct {
	// Key is equal for pods that request the same devices, whatever their claims are called.
	Key string
	// Pins are the node selectors of claims that are already allocated. The pod must run on a node that all of them
	// match.
	Pins []*v1.NodeSelector
	// SharedClaims are unallocated claims that were not made from a template for this pod. Other pods may use them
	// too. They are allocated once, and the first pod determines the node.
	SharedClaims []types.NamespacedName
	// Extended are extended resources that stand for devices. They are part of Options: leave them out of the pod's
	// plain resources.
	Extended map[v1.ResourceName]int64
	// RDMA is set if only RDMA NICs can meet one of its device requests.
	RDMA bool
	// Alternatives is set if a device request has alternatives (firstAvailable).
	Alternatives bool

	options []requestOption
	// relaxed is met wherever one of the options is.
	relaxed requestOption
}

// requestOption is one way to meet a pod's request: all its device requests together.
type requestOption struct {
	requests []deviceRequest
	groups   []group
}

// deviceRequest is a number of devices, each of which satisfies one of the queries.
type deviceRequest struct {
	// name is "claim/request", or an extended resource's name.
	name    string
	queries []*deviceQuery
	count   int
	// all requests every device of the node that satisfies the query, however many.
	all bool
	// plugin is the extended resource of which a node's device plugin may serve the count instead.
	plugin v1.ResourceName
	// alternative is the subrequest's name if the device request is one of several alternatives.
	alternative string
}

// group is a matchAttribute constraint: the devices of these requests share one value of the attribute.
type group struct {
	attribute string
	requests  []int
}

// Empty returns true if the pod needs no device. Its allocated claims may still pin it.
func (r *Request) Empty() bool { return len(r.options) == 0 }

// AllowsNode returns true if the pod's allocated claims can be used on the node.
func (r *Request) AllowsNode(node *v1.Node) (bool, error) {
	for _, pin := range r.Pins {
		matches, err := structured.NodeMatches(structured.Features{}, node, "", false, pin)
		if err != nil || !matches {
			return false, err
		}
	}
	return true, nil
}

func optionsKey(options []requestOption) string {
	var b strings.Builder
	for _, option := range options {
		for _, request := range option.requests {
			for _, q := range request.queries {
				fmt.Fprintf(&b, "%q ", q.key)
			}
			fmt.Fprintf(&b, "%d %t %q;", request.count, request.all, request.plugin)
		}
		for _, g := range option.groups {
			fmt.Fprintf(&b, "%q%v", g.attribute, g.requests)
		}
		b.WriteString("\n")
	}
	return b.String()
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
