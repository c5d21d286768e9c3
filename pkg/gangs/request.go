// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Request is a gang as it is to be planned: the members of its next batch, and all that
// limits where they may go.
type Request struct {
	Gang Gang
	// Members are live, and placed or ready.
	Members []Member
	// Placed gives the node of each member that runs or binds already.
	Placed map[types.UID]string
	// Done counts, by role, the members that have succeeded: they are in the quorum and
	// occupy no node.
	Done map[string]int
	// Limits is the largest number of members that a node takes, by role and signature and
	// by node, as stock filters refused more. Callers must not change it.
	Limits map[RoleSignature]map[string]int
	// Holds is the room that the plans of other gangs count on.
	Holds []Hold
	// Reserved are the nodes that this gang must leave to Holder; nil if there are none.
	Reserved map[string]bool
	Holder   Key
	// PreferAll asks for all members in one required domain before a quorum in a better one.
	PreferAll bool
}

// Hold is room on a node that a plan counts on and no pod shows yet.
type Hold struct {
	Node string
	Need plan.Need
}

// Assignment is where a plan puts the members of a gang that are not placed yet.
type Assignment struct {
	// Nodes is the planned node of each member that gets one.
	Nodes map[types.UID]string
	// Rails is the alignment unit that the plan chose for a member, if it chose one.
	Rails map[types.UID]int
	// Roles is the role and signature of every member that waits, planned or not.
	Roles map[types.UID]RoleSignature
	// Needs is what each of those members takes.
	Needs map[types.UID]plan.Need
	// Pinned are the members whose allocated claims left the plan no choice of node.
	Pinned map[types.UID]bool
	// Short is how many members of each role the quorum still waits for.
	Short map[string]int
	// Alignment is what the gang says of its members' devices.
	Alignment Alignment
	// Domain names the chosen domain for people.
	Domain string
}
