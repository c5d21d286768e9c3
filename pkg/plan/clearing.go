// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Clearing is the answer of Clear: which occupants must leave so that a gang has a
// placement, or why no occupants can help.
type Clearing struct {
	// Decision is the plan of the gang without the victims and without the occupants that
	// leave already. If it is not placed, its reasons are those of the nodes without any
	// occupant, unless the request is invalid.
	Decision Decision
	// Victims are the indices of the occupants to evict, in the natural order of their
	// names. It is empty if the gang has a placement without an eviction, or none at all.
	Victims []int
	// Awaited are the indices of the occupants that leave already and that use nodes of the
	// placement, in the natural order of their names.
	Awaited []int
	// Cost is the cost of the victims: the sum of Breaches, the largest Priority, the sum of
	// each term of Cost, and the number of victims. It is nil without victims.
	Cost []int64
	// Proven is true if no occupants of lower cost would do, or, without a placement, if the
	// nodes without all occupants have none. Least is true if, in addition, no plan without
	// other occupants of equal cost has a lower Decision.Cost.
	Proven, Least bool
	Stats         ClearStats
}

// ClearStats counts the work of Clear.
type ClearStats struct {
	// Plans is the number of plans without some occupants. FitsCalls counts the calls of
	// FitsWithout. Domains is the number of domains in which victims were chosen.
	Plans, FitsCalls, Domains int
	// Steps is the number of steps used of Options.ClearBudget.
	Steps int
}

// FitsWithout returns true if node accepts one more member of role, as Fits does, while some
// occupants, given by their ascending indices, are gone. It must be monotone in them: a node
// that accepts a member accepts it, too, when further occupants are gone.
type FitsWithout func(gone []int, role int, node string, already int) bool

// DefaultClearBudget is the default of Options.ClearBudget. In a large fabric it ends the
// search for cheaper victims after about a tenth of a second.
const DefaultClearBudget = 1 << 17
