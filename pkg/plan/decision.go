// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Decision is the answer to a Gang: a node for every pending quorum member, or
// the reasons why not.
type Decision struct {
	// Gang is the name from the request.
	Gang string
	// Placed is set if at least the quorum has nodes.
	Placed bool
	// Assignments has the pending members that got a node, by role name, then in
	// rank order. Members beyond the quorum may be missing.
	Assignments []Assignment
	// Domain is the smallest domain that holds the gang, bound members included.
	Domain Domain
	// Cost is the plan's cost by term, most important first.
	Cost Cost
	// PreferredKept is set if every preferred level was kept.
	PreferredKept bool
	// Wanted is the number of pending members in the request. Unplaced counts
	// those beyond the quorum that got no node.
	Wanted, Unplaced int
	// Exhausted is set if the step budget ended before an answer. Then a "no"
	// does not prove that there is no placement.
	Exhausted bool
	// Reasons explain a "no", best candidate first.
	Reasons []Reason
	Stats   Stats
}

// Assignment gives a member its node.
type Assignment struct {
	Role, Member, Node string
	// Rail is the index of the alignment unit that the member should take its
	// devices from. It is -1 if the devices span several units, or if the member
	// needs none.
	Rail int
}

// Domain is one vertex of the fabric.
type Domain struct {
	// Level is the level's name; "fabric" is the whole fabric, NodeLevel a node.
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
	// FitsCalls counts the calls of Fits, FitsRefused those that returned false.
	FitsCalls, FitsRefused int
	// NodesTouched counts nodes whose slots were computed or read.
	NodesTouched int
	// DomainsTried counts candidate domains in which a placement was attempted.
	DomainsTried int
	// Proven is set if the cost is proven to be the optimum, or the "no" to be
	// final.
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
	// BadRequest: the request is invalid; Subject names the field.
	BadRequest ReasonKind = "BadRequest"
	// BudgetEnded: the step budget ended before an answer.
	BudgetEnded ReasonKind = "BudgetEnded"
)

// Reason says why one candidate domain does not hold the gang, or names a fault
// of the request.
type Reason struct {
	Kind   ReasonKind
	Domain Domain
	// Subject is the field or object that a BadRequest is about, with Detail.
	Subject, Detail string
	// Role is the role that was short, RoleDomain the domain available to it.
	Role       string
	RoleDomain Domain
	// Outside is the room for further members of Role outside RoleDomain. It is
	// set only where a boundary level keeps RDMA members in RoleDomain.
	Outside int
	// Wanted and Found count pending quorum members. For BoundApart, Found counts
	// the bound members.
	Wanted, Found int
	// Nodes is how many nodes were checked for a NoDomain.
	Nodes int
	// Excluded counts the domain's nodes that hold no member of Role, by what
	// they lack.
	Excluded []Exclusion
	// Each of Changes alone would change the answer.
	Changes []Change
}

// Exclusion counts the nodes excluded for one cause.
type Exclusion struct {
	// Cause is a resource or kind name, or one of the Cause constants.
	Cause string
	Nodes int
	// Refused names the nodes, for CauseFilter only, those that Role.Nodes leaves out
	// included: the implementation of Fits may have details about them.
	Refused []string
	// Detail is what the filters reported, as a part of a sentence. The planner
	// leaves it empty; the caller may set it.
	Detail string
}

// Causes that are not a resource or a kind.
const (
	CauseUnschedulable = "unschedulable"
	CauseAvoided       = "refused before"
	CauseFilter        = "filters"
	CauseAlignment     = "alignment"
	// CauseAntiAffinity is an AntiAffinity rule: another member is in the way.
	CauseAntiAffinity = "anti-affinity to other members"
)

// Change is a change of the cluster that would turn a "no" into a "yes".
type Change struct {
	// Count of What: domains of a level ("node", "rack") that are missing in the
	// domain Where, or a resource or kind that is missing on the node Where.
	Count int64
	What  string
	// Amount is Count in the usual notation of a resource that is counted in
	// small units. The planner leaves it empty.
	Amount string
	// Room is how many members each missing domain must hold. It is 0 for a node
	// like the best in the domain.
	Room  int
	Where string
}
