// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Decision is the answer to a Gang: every pending quorum member with a node,
// or the reasons why not.
type Decision struct {
	// Gang is the name from the request.
	Gang string
	// Placed says that at least the quorum has nodes.
	Placed bool
	// Assignments has the pending members that got a node, by role name, then
	// in rank order. Members beyond the quorum may be missing.
	Assignments []Assignment
	// Domain is the smallest domain that holds the gang, bound members included.
	Domain Domain
	// Cost is the plan's cost by term, most important first.
	Cost Cost
	// PreferredKept says that every preferred level was kept.
	PreferredKept bool
	// Wanted is the number of pending members asked for, Unplaced those of them
	// beyond the quorum that got no node.
	Wanted, Unplaced int
	// Exhausted says that the step budget ended before an answer: not placed is
	// then not proven impossible.
	Exhausted bool
	// Reasons say why not, best candidate first.
	Reasons []Reason
	Stats   Stats
}

// Assignment gives a member its node.
type Assignment struct {
	Role, Member, Node string
	// Rail is the alignment unit that the member should take its devices from,
	// -1 when it spans several or asks for none.
	Rail int
}

// Domain is one vertex of the fabric.
type Domain struct {
	// Level is the level's name; "fabric" is the whole, NodeLevel a node.
	Level string
	// Path are the domain names from the top, joined by "/".
	Path string
}

// Cost is a lexicographic vector: the first term that differs decides.
type Cost []Term

// Term is one component of a cost.
type Term struct {
	Name  string
	Value int64
}

// Stats counts the work done.
type Stats struct {
	// Steps of the budget used.
	Steps int
	// FitsCalls is how often Fits was asked, FitsRefused how often it said no.
	FitsCalls, FitsRefused int
	// NodesTouched counts nodes whose slots were computed or looked at.
	NodesTouched int
	// DomainsTried counts candidate domains in which placing was attempted.
	DomainsTried int
	// Proven says that the cost is the optimum (or the "no" certain).
	Proven bool
}

// ReasonKind is a constant to switch on.
type ReasonKind string

// The kinds of reasons.
const (
	// NoRoom: the domain cannot hold the quorum.
	NoRoom ReasonKind = "NoRoom"
	// NoDomain: no node has a domain of the required level.
	NoDomain ReasonKind = "NoDomain"
	// BoundApart: members already bound contradict a required level.
	BoundApart ReasonKind = "BoundApart"
	// BadRequest: the request itself is wrong; Subject names the field.
	BadRequest ReasonKind = "BadRequest"
	// BudgetEnded: the search stopped before an answer.
	BudgetEnded ReasonKind = "BudgetEnded"
)

// Reason is one candidate domain's verdict, or a fault of the request.
type Reason struct {
	Kind   ReasonKind
	Domain Domain
	// Subject is the field or object that a BadRequest is about, with Detail.
	Subject, Detail string
	// Role is the role that was short, RoleDomain the domain it was given.
	Role       string
	RoleDomain Domain
	// Outside is room for further members of Role outside RoleDomain, if that is a
	// domain that RDMA does not leave and that is why they are kept in it.
	Outside int
	// Wanted and Found count pending quorum members; of BoundApart, Found counts the
	// bound members that contradict.
	Wanted, Found int
	// Nodes is how many nodes were looked at for a NoDomain.
	Nodes int
	// Excluded counts the domain's nodes that hold no member of Role, by what
	// they lack.
	Excluded []Exclusion
	// Changes would each change the answer.
	Changes []Change
}

// Exclusion counts nodes lost to one cause.
type Exclusion struct {
	// Cause is a resource or kind name, or one of the Cause constants.
	Cause string
	Nodes int
	// Refused names the nodes, of CauseFilter only: whoever answered Fits may know
	// more about them.
	Refused []string
	// Detail is what they know, as a part of a sentence. The planner leaves it empty.
	Detail string
}

// Causes that are not a resource or a kind.
const (
	CauseUnschedulable = "unschedulable"
	CauseAvoided       = "refused before"
	CauseFilter        = "filters"
	CauseAlignment     = "alignment"
)

// Change is something that would change a "no".
type Change struct {
	// Count of What: domains of a level ("node", "rack") that are missing in the
	// domain Where, or a resource or kind that is missing on the node Where.
	Count int64
	What  string
	// Amount is how people write Count, where a resource is counted in small units;
	// the planner does not know of such and leaves it empty.
	Amount string
	// Room is how many members each missing domain must hold, 0 for a node
	// like the best there are.
	Room  int
	Where string
}
