// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import "k8s.io/apimachinery/pkg/types"

// Request is the input for planning a gang: the members to plan now, and all that limits
// their nodes.
type Request struct {
	Gang Gang
	// Members are neither failed nor being deleted, and are placed or ready to be scheduled.
	Members []Member
	// Placed is the node of each member that runs or is being bound.
	Placed map[types.UID]string
	// Done counts, by role (members with one task), the members that have succeeded. They
	// are part of the quorum (the members that must start together) and occupy no node.
	Done map[string]int
	// Limits is the largest number of members that a node takes, by role and signature
	// (equal for pods that request the same of their node) and by node name. It has an entry
	// for each node where a scheduler filter refused one member more. Callers must not
	// change it.
	Limits map[RoleSignature]map[string]int
	// Conflicts are the same refusals, each with the other members that had nodes at that
	// moment: the filter may have refused because of these. Limits ignore the other members,
	// so Limits may exclude nodes that the filters would accept.
	Conflicts []Conflict
	// Holds lists capacity that the plans of other gangs need and no pod uses yet.
	Holds []Hold
	// Reserved are the nodes which this gang must not use because they are reserved for
	// another gang, Holder, that has waited long; nil if there are none.
	Reserved map[string]bool
	Holder   Key
	// Spare is, by node in Reserved, what this gang may nevertheless use there, because the
	// Holder does not need it. Nodes without an entry have nothing to spare.
	Spare map[string]Capacity
	// Backfill is the reason why this gang may use nodes that are reserved for another gang, ""
	// if it may not.
	Backfill Backfill
	// PreferAll makes the planner prefer a domain (such as a rack, if the gang requires one)
	// that holds all members to a cheaper one that holds only a quorum.
	PreferAll bool
}

// Conflict is a combination of members on nodes of which a filter refused the last member. A
// plan must not contain all of it.
type Conflict []ConflictTerm

// ConflictTerm is a number of members of a role and signature on a node.
type ConflictTerm struct {
	Role  RoleSignature
	Node  string
	Count int
}

// Hold is capacity of a node that a plan needs and no pod uses yet.
type Hold struct {
	Node string
	Need Capacity
}

// Capacity is an amount of resources and devices by name. The planner uses indices instead,
// which are valid for one plan only.
type Capacity struct {
	Resources map[string]int64
	Devices   []HeldDevices
}

// HeldDevices are devices of a node. Each may be of any of the kinds.
type HeldDevices struct {
	Count int
	Kinds []string
}

// Assignment is the planned placement of the members of a gang that are not placed yet.
type Assignment struct {
	// Nodes is the planned node of each member that has one.
	Nodes map[types.UID]string
	// Rails is the index of the alignment unit (devices of a node that are close to each
	// other) that the plan chose for a member. Members without one have no entry.
	Rails map[types.UID]int
	// Subrequests is, for members whose claims have requests with alternatives
	// (firstAvailable), the alternatives that the plan chose.
	Subrequests map[types.UID]Subrequests
	// Order numbers the members that must be scheduled in this order, each after all with
	// smaller numbers. Other members have no entry.
	Order map[types.UID]int
	// Roles is the role and signature of every waiting member, planned or not.
	Roles map[types.UID]RoleSignature
	// Needs is the capacity that each waiting member needs of its node.
	Needs map[types.UID]Capacity
	// Pinned are the members whose node is determined by claims that are allocated
	// already.
	Pinned map[types.UID]bool
	// Short is, by role, how many members besides those that have a node the quorum needs.
	Short map[string]int
	// Alignment says how close to each other the GPUs and NICs of each member must be.
	Alignment Alignment
	// Domain is the name of the chosen domain, for messages.
	Domain string
}
