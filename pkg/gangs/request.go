// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Request is the input for planning a gang: the members of its next batch, and everything
// that limits their nodes.
type Request struct {
	Gang Gang
	// Members are live, and placed or ready.
	Members []Member
	// Placed is the node of each member that runs or is being bound.
	Placed map[types.UID]string
	// Done counts, by role, the members that have succeeded. They count for the quorum and
	// occupy no node.
	Done map[string]int
	// Limits is the largest number of members that a node takes, by role and signature and
	// by node, as stock filters refused more. Callers must not change it.
	Limits map[RoleSignature]map[string]int
	// Holds is the room that the plans of other gangs count on.
	Holds []Hold
	// Reserved are the nodes reserved for the gang Holder, which this gang must not use;
	// nil if there are none.
	Reserved map[string]bool
	Holder   Key
	// PreferAll prefers a required domain that holds all members to a better domain that
	// holds only a quorum.
	PreferAll bool
}

// Hold is capacity of a node that a plan needs and no pod uses yet.
type Hold struct {
	Node string
	Need plan.Need
}

// Assignment is the planned placement of the members of a gang that are not placed yet.
type Assignment struct {
	// Nodes is the planned node of each member that has one.
	Nodes map[types.UID]string
	// Rails is the alignment unit that the plan chose for a member. Members without one
	// have no entry.
	Rails map[types.UID]int
	// Order numbers the members that must be scheduled in this order, each after all with
	// smaller numbers. Other members have no entry.
	Order map[types.UID]int
	// Roles is the role and signature of every member that waits, planned or not.
	Roles map[types.UID]RoleSignature
	// Needs is what each of those members takes.
	Needs map[types.UID]plan.Need
	// Pinned are the members whose allocated claims determined their node.
	Pinned map[types.UID]bool
	// Short is the number of members of each role that the quorum still lacks.
	Short map[string]int
	// Alignment is the gang's device alignment.
	Alignment Alignment
	// Domain is the name of the chosen domain, for messages.
	Domain string
}
