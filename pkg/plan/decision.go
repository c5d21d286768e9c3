// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Decision is the answer to a Gang: a node for every pending member of the quorum (the
// members that the gang's minimums demand), or the reasons for the failure.
type Decision struct {
	// Gang is the name of the gang in the request.
	Gang string
	// Placed is true if at least the quorum has nodes.
	Placed bool
	// Assignments has the pending members that got a node, by role name, then by rank.
	// Members beyond the quorum may be missing.
	Assignments []Assignment
	// Domain is the smallest domain that holds the gang, bound members included.
	Domain Domain
	// Cost is the cost of the placement by term, most important first.
	Cost Cost
	// PreferredKept is true if every preferred level was kept.
	PreferredKept bool
	// Wanted is the number of pending members in the request. Unplaced counts the members
	// beyond the quorum without a node.
	Wanted, Unplaced int
	// Exhausted is true if the search used up its step budget. A placement may then exist
	// although Placed is false.
	Exhausted bool
	// Reasons explain a decision that is not Placed, the best candidate domain first. If it
	// is Placed, they explain why members beyond the quorum have no node.
	Reasons []Reason
	Stats   Stats
}

// rejected returns the decision d with a single reason. It sets Stats.Proven: no
// placement exists.
func (d Decision) rejected(r Reason) Decision {
	d.Reasons = []Reason{r}
	d.Stats.Proven = true
	return d
}

// Assignment gives a member its node.
type Assignment struct {
	// Role is the member's role, or the role in Role.Alternatives whose need the member
	// has on the node.
	Role, Member, Node string
	// Rail is the index of the alignment unit (such as a PCIe root) that holds the
	// member's devices. It is -1 if the devices span several units or if the member needs
	// none.
	Rail int
	// Order is the member's number, from 1, in an order of the members that Spread and
	// Affinity rules name: the rules accept each member if those with smaller numbers are
	// placed before it. Order is 0 for members that no such rule names.
	Order int
}

// Domain is one part of the fabric (the topology tree): the whole fabric, a domain of a
// level, or a node.
type Domain struct {
	// Level is the level's name: "fabric" for the whole fabric, NodeLevel for a node.
	Level string
	// Path holds the domain names from coarse to fine, joined by "/".
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
	// Steps is the number of search steps used.
	Steps int
	// FitsCalls counts the calls of Fits, the caller's filters. FitsRefused counts the
	// calls that returned false.
	FitsCalls, FitsRefused int
	// NodesTouched counts nodes for which the planner computed or read how many members
	// fit.
	NodesTouched int
	// DomainsTried counts candidate domains in which a placement was attempted.
	DomainsTried int
	// Proven is true if no cheaper placement exists or, without a placement, if none
	// exists.
	Proven bool
}

// ReasonKind classifies a Reason.
type ReasonKind string

// The kinds of reasons. Only NoRoom also explains members beyond the quorum without a node.
const (
	// NoRoom: the domain cannot hold the quorum.
	NoRoom ReasonKind = "NoRoom"
	// NoDomain: no node has a domain of the required level.
	NoDomain ReasonKind = "NoDomain"
	// BoundApart: a level is required, and bound members are in different domains of it or
	// on a node without it.
	BoundApart ReasonKind = "BoundApart"
	// BadRequest: the request is invalid; Subject names the field.
	BadRequest ReasonKind = "BadRequest"
	// BudgetEnded: the step budget ended before an answer.
	BudgetEnded ReasonKind = "BudgetEnded"
)

// Reason explains why one candidate domain cannot hold the gang, or names a fault of the
// request.
type Reason struct {
	Kind   ReasonKind
	Domain Domain
	// Subject is the field or object that caused a BadRequest. Detail describes the fault.
	Subject, Detail string
	// Role is the role without enough room. RoleDomain is the domain, in Domain, that
	// must hold its members.
	Role       string
	RoleDomain Domain
	// Outside is the number of further members of Role that fit in Domain outside
	// RoleDomain. It is set only if the members need RDMA and RoleDomain is a domain of a
	// boundary level, which RDMA cannot cross.
	Outside int
	// Wanted counts the pending members of the quorum, Found those of them that fit. For
	// BoundApart, Found counts the bound members.
	Wanted, Found int
	// Nodes is the number of nodes, none of which has the required level. It is set for
	// NoDomain.
	Nodes int
	// ManyRoles is true if the gang has other roles than Role.
	ManyRoles bool
	// Excluded counts the domain's nodes that hold no member of the gang and have no room
	// for Role, by the resource, device kind or other cause. Full counts the nodes that hold
	// members and have no room for one more of Role.
	Excluded, Full []Exclusion
	// Never is set if no pods but the gang's own are in the way: the nodes that exist are
	// too small or too few.
	Never *Never
	// Changes lists changes of the cluster. Each alone would make the placement possible.
	Changes []Change
}

// Exclusion counts the nodes excluded for the same cause.
type Exclusion struct {
	// Cause is the name of a resource or device kind, or one of the Cause constants.
	Cause string
	Nodes int
	// Refused names the excluded nodes if Cause is CauseFilter, nodes that Role.Nodes
	// leaves out included. The implementation of Fits may have details about them.
	Refused []string
	// Detail is the message of the filters, as a part of a sentence. The planner leaves it
	// empty; the caller may set it.
	Detail string
	// Short is the missing amount of the resource or device kind for one more member on a
	// node that holds members, 0 for other causes. If Varies is true, the nodes miss
	// different amounts, and Short is the least.
	Short  int64
	Varies bool
	// Amount is Short in the usual notation of the resource. The planner leaves it empty.
	Amount string
}

// Never explains why a role does not fit the nodes that exist, even if they were empty.
// Either one member is too large for each node, or one domain of a level must hold more
// members than the domain with the most room would hold.
type Never struct {
	// What is the resource or kind of which a member needs more than any node has. Need and
	// Most are the two amounts.
	What       string
	Need, Most int64
	// NeedAmount and MostAmount are Need and Most in the usual notation of the resource. The
	// planner leaves them empty.
	NeedAmount, MostAmount string
	// Level is set if What is empty: one domain of this level must hold Wanted members of
	// the role. The domain with the most room has Nodes nodes and would hold Room members.
	Level               string
	Nodes, Room, Wanted int
}

// Causes of an Exclusion that are not a resource or a device kind. CauseAvoided is a
// refusal of the filters in an earlier plan, CauseFilter any other refusal of the
// filters.
const (
	CauseUnschedulable = "unschedulable"
	CauseAvoided       = "refused before"
	CauseFilter        = "filters"
	CauseAlignment     = "alignment"
	// CauseAntiAffinity is an AntiAffinity rule: another member is in the way.
	CauseAntiAffinity = "anti-affinity to other members"
	// CauseSpread is a Spread rule: too many counted members are in the node's domain
	// already, or the node has no domain of the rule's level.
	CauseSpread = "topology spread"
	// CauseAffinity is an Affinity rule: no matching pod is in the node's domain, or the
	// node has no domain of the rule's levels.
	CauseAffinity = "pod affinity"
)

// Change is a change of the cluster that would make the placement possible.
type Change struct {
	// Count is the missing amount of What. What is a level ("node", "rack") whose domains
	// are missing in the domain Where, or a resource or kind missing on the node Where.
	Count int64
	What  string
	// Amount is Count in the usual notation of a resource counted in small units. The
	// planner leaves it empty.
	Amount string
	// Room is the number of members that each missing domain must hold. It is 0 for
	// missing nodes, resources and kinds.
	Room int
	// Like names an existing node that the missing nodes must resemble. It is empty if
	// they need only as much room as the node with the most room.
	Like  string
	Where string
}
