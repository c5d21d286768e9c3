// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Clearing is the answer of Clear: the occupants (sets of running pods) that must leave so that
// a gang has a placement, or the reasons why the gang has none without all of them.
type Clearing struct {
	// Decision is the plan of the gang without the victims (the occupants to evict) and
	// without the occupants that leave already. If Decision has no placement, its reasons are
	// those for nodes without any occupant, unless the request is invalid.
	Decision Decision
	// Victims has the indices of the victims, in the natural order of their names. It is
	// empty if the gang has a placement without an eviction, or no placement at all.
	Victims []int
	// Awaited has the indices of the occupants that leave already and use nodes of the
	// placement, in the natural order of their names. The gang must wait for them.
	Awaited []int
	// Cost is the cost of the victims: the sum of their Breaches, their largest Priority, the
	// sum of each term of their Cost, and their number. It is nil without victims.
	Cost []int64
	// Proven is true if no set of occupants with a lower cost makes a placement possible. If
	// there is no placement, Proven is true if none exists even without all occupants. Least
	// is true if, in addition, no other set of equal cost gives a lower Decision.Cost.
	Proven, Least bool
	Stats         ClearStats
}

// ClearStats counts the work of Clear.
type ClearStats struct {
	// Plans is the number of plans, with or without some occupants. FitsCalls is the number
	// of calls of FitsWithout. Domains is the number of domains in which victims were chosen.
	Plans, FitsCalls, Domains int
	// Steps is the number of search steps, which Options.ClearBudget limits.
	Steps int
}

// FitsWithout reports whether the caller's filters accept one more member of role on node, as
// Fits does, while the occupants with the ascending indices in gone have left. It must be
// monotone in gone: a node that accepts a member also accepts it when further occupants have
// left.
type FitsWithout func(gone []int, role int, node string, already int) bool

// DefaultClearBudget is the default of Options.ClearBudget, in steps. In a large fabric it ends
// the search for cheaper victims after about 0.1 seconds.
const DefaultClearBudget = 1 << 17
