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

// Request holds one pod's requests for a node's devices.
type Request struct {
	// Key is equal for pods that request the same devices. It does not depend on the names
	// of their claims.
	Key string
	// Pins are the node selectors of the pod's allocated claims. The pod must run on a
	// node that matches all of them.
	Pins []*v1.NodeSelector
	// SharedClaims are unallocated claims that were not made from a template for this
	// pod, so other pods may use them, too. Such a claim is allocated once, for the first
	// pod; the other pods can run only on nodes that can use the same devices.
	SharedClaims []types.NamespacedName
	// Extended has the extended resources of the pod that DRA devices provide, with their
	// amounts. The request's device counts include them, so callers must omit them from the
	// pod's plain resources.
	Extended map[v1.ResourceName]int64
	// RDMA is true if only RDMA NICs can meet one of its device requests.
	RDMA bool
	// Alternatives is true if a device request has alternatives (firstAvailable).
	Alternatives bool

	// cost is what the selectors of the claims cost on one device, in units of CEL.
	cost    uint64
	options []requestOption
	// relaxed is an option that can be met whenever one of options can be met.
	relaxed requestOption
}

// requestOption is one way to meet a pod's request: all its device requests together.
type requestOption struct {
	requests []deviceRequest
	groups   []group
}

// deviceRequest asks for count devices, each of which must satisfy one of the queries
// (demands on a device).
type deviceRequest struct {
	// name is "claim/request", or an extended resource's name.
	name    string
	queries []*deviceQuery
	count   int
	// all is true if the request is for every device of the node that satisfies its
	// query.
	all bool
	// plugin is the extended resource that a node's device plugin may serve instead of
	// devices, or "".
	plugin v1.ResourceName
	// alternative is the name of the subrequest if the device request has alternatives
	// (firstAvailable), or "".
	alternative string
}

// group is a matchAttribute constraint: the devices of these requests (indices in the
// option) must have the same value of the attribute.
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

// served returns the extended resources of the request that the node's device plugins
// serve, in the order of the request. plugin reports whether they serve a resource.
func (r *Request) served(plugin func(v1.ResourceName) bool) []v1.ResourceName {
	var names []v1.ResourceName
	for i := range r.relaxed.requests {
		if name := r.relaxed.requests[i].plugin; name != "" && plugin(name) {
			names = append(names, name)
		}
	}
	return names
}
