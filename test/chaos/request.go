// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"net/http"
	"slices"
	"strings"
)

// request describes an HTTP request to the API server.
type request struct {
	// verb is get, list, watch, create, update, patch or delete.
	verb string
	// resource is the plural name; subresource follows a slash: pods/binding.
	resource string
	// name is the object's name, or "".
	name string
}

// write reports whether the request changes an object.
func (r request) write() bool { return !slices.Contains([]string{"get", "list", "watch"}, r.verb) }

// lease reports whether the request belongs to leader election.
func (r request) lease() bool { return r.resource == "leases" }

var verbs = map[string]string{
	http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// readRequest reads a request from its method and path: /api/v1/... or /apis/GROUP/VERSION/...
// Other paths have no resource.
func readRequest(r *http.Request) request {
	out := request{verb: verbs[r.Method]}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		parts = parts[3:]
	default:
		return out
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	out.resource = parts[0]
	if len(parts) > 1 {
		out.name = parts[1]
	}
	if len(parts) > 2 {
		out.resource += "/" + parts[2]
	}
	if out.verb == "get" && out.name == "" {
		out.verb = "list"
		if watch := r.URL.Query().Get("watch"); watch == "true" || watch == "1" {
			out.verb = "watch"
		}
	}
	return out
}
