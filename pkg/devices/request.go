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

// Request holds one pod's requests for a node's devices. Requests with equal keys are
// interchangeable in counts.
type Request struct {
	// Key is equal for pods that request the same devices. It does not depend on the names
	// of their claims.
	Key string
	// Pins are the node selectors of allocated claims. The pod must run on a node that
	// matches all of them.
	Pins []*v1.NodeSelector
	// SharedClaims are unallocated claims that were not made from a template for this pod.
	// Other pods may use them too. They are allocated once, and the first pod determines
	// the node.
	SharedClaims []types.NamespacedName
	// Extended are extended resources that devices provide. They are part of Options: omit
	// them from the pod's plain resources.
	Extended map[v1.ResourceName]int64
	// RDMA is true if only RDMA NICs can meet one of its device requests.
	RDMA bool
	// Alternatives is true if a device request has alternatives (firstAvailable).
	Alternatives bool

	options []requestOption
	// relaxed is an option that is met whenever one of the options is met.
	relaxed requestOption
}

// requestOption is one way to meet a pod's request: all its device requests together.
type requestOption struct {
	requests []deviceRequest
	groups   []group
}

// deviceRequest is a number of devices. Each must satisfy one of the queries.
type deviceRequest struct {
	// name is "claim/request", or an extended resource's name.
	name    string
	queries []*deviceQuery
	count   int
	// all is true if the request is for every device of the node that satisfies the query.
	all bool
	// plugin is the extended resource that a node's device plugin may serve instead, or "".
	plugin v1.ResourceName
	// alternative is the subrequest's name if the device request is one of several
	// alternatives.
	alternative string
}

// group is a matchAttribute constraint: the devices of these requests share one value of
// the attribute.
type group struct {
	attribute string
	requests  []int
}

// Empty returns true if the pod needs no device. Its allocated claims may still restrict
// its nodes.
func (r *Request) Empty() bool { return len(r.options) == 0 }

// AllowsNode returns true if the pod's allocated claims can be used on the node. It returns
// an error if a node selector is invalid.
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

// served lists, in order, the request's extended resources that the node's device plugins
// serve.
func (r *Request) served(plugin func(v1.ResourceName) bool) []v1.ResourceName {
	var names []v1.ResourceName
	for i := range r.relaxed.requests {
		if name := r.relaxed.requests[i].plugin; name != "" && plugin(name) {
			names = append(names, name)
		}
	}
	return names
}
