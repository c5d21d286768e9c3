// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import "github.com/dovetail-dev/dovetail/pkg/gangs"

// Outcome is the result of planning a gang.
type Outcome struct {
	// Placed reports whether Assignment has a node for each member of the quorum (the
	// members that must start together).
	Placed     bool
	Assignment gangs.Assignment
	// Surplus is the sentence about members beyond the quorum that got no node, "" if all
	// members have a node.
	Surplus string
	// Refusal is the sentence that explains why the gang is not placed.
	Refusal string
	// HeldBack is true if the gang has no placement only because nodes are reserved for
	// another gang.
	HeldBack bool
	// Searched is true if the planner looked for nodes. If it is false, Refusal is not about
	// room: what the gang and its pods ask for is faulty, or cannot be read or tested now.
	Searched bool
	// Temporary is true if Searched is false and the gang may be placed later although
	// nothing in the cluster changes.
	Temporary bool
	// Lessons is the number of members that filters refused in complete plans. Later runs of
	// the planner avoid the refused combinations of members and nodes.
	Lessons int
}
