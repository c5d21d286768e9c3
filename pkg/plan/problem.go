// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// problem is a request to place a gang (pods that start together), compiled for the search.
// It uses indices instead of names. The order of its lists does not depend on the order of
// the input.
type problem struct {
	snap    *Snapshot
	gang    *Gang
	filters Fits
	stats   *Stats
	// steps is the number of search steps used. The searches for all quorums (choices of
	// members that meet the gang's minimums) share the budget. from is the step at which the
	// search for the current quorum began, size how many steps this search may take.
	steps, budget, from, size int
	// roles (sets of equal members) are sorted: fewest slots on all nodes together first,
	// then most devices, then by name. Slots are the members that fit on each node by counts.
	// The first role is called the leading role.
	roles []role
	// dims are the resources and the sets of device kinds of which members take an amount.
	dims []dimension
	// terms are the depths of the network levels (1 is the coarsest) in the cost's terms
	// "domains LEVEL" (the domains of this level that are used beyond the first).
	terms []int
	// bound has the positions (indices) of the nodes with bound members (pods that are on a
	// node already), each once.
	bound []int32
	// required and preferred are the depths of the levels Gang.Required and Gang.Preferred,
	// of which one domain must, or should, hold the gang. 0 is none.
	required, preferred int
	confinements        []confinement
	wishes              []wish
	// The first ownConfinements of confinements (members that one domain must hold) and the
	// first ownWishes of wishes (members that one domain should hold) come from the request.
	// For members whose slice is placed in part, addPartner appends further ones, which are
	// valid only for the current batches.
	ownConfinements, ownWishes int
	batches                    []batch
	apart                      []apartRule
	spreads                    []spreadRule
	affinities                 []affinityRule
	pools                      []poolRule
	nodeLimits                 []nodeLimit
	conflicts                  []conflictRule
	// partitions has, for each of Gang.Partitions (divisions of the nodes, such as by the
	// value of a label), its domains, nil until a rule uses it. roleIndex is the index of
	// each role by its name, nil until a rule names one.
	partitions []*domains
	roleIndex  map[string]int
	// marks has, by node position, a hash of what distinguishes the node from others of
	// equal free capacity: Role.Nodes, rules between members, pools, node limits and conflicts
	// (combinations that the filters have refused). It is nil for a gang without these.
	marks map[int32]uint64
	// told is the number of calls of the method tell, which adds to marks the domains of one
	// rule between members. The number makes the hashes of different rules differ.
	told int
	// fresh is the index in batches (members that are placed in one go) of the first batch
	// that the last call of batchesFor appended.
	fresh int
	// accepted has, by role and node, the largest number of members of the role on the node
	// to which the filters accepted one more.
	accepted map[fitsKey]int32
	// capacity is Options.Capacity, which tells what a node has in all, used or not; total
	// is its last answer.
	capacity func(string, *Capacity) bool
	total    Capacity
}

// role is a Role compiled for the search.
type role struct {
	index int // in Gang.Roles
	spec  *Role
	roll  *rollup
	takes []int64 // what one member takes, by index in problem.dims
	// linked is true if the number of members that a node can hold depends on more than the
	// node's free amounts: on a rule between members, a conflict (a combination that the
	// filters have refused), a node limit or a pool (items of which members take some). Most
	// roles have none of these, and their plans skip this work.
	linked bool
	limits []limit
	// only has the positions of the nodes that the role may use if limited is set.
	only                 map[int32]bool
	limited              bool
	slices               []slice
	confinements, wishes []int32 // indices in problem.confinements and problem.wishes
	bound                []int32 // by bound member, the position of its node, -1 if unknown
	rule                 sliceRule
	// taken has the domains of level Slice.Spread that hold slices with bound members.
	taken []int32
	// apart, spreads and affinities are the indices of the rules between members that
	// name the role.
	apart, spreads, affinities []int32
	// pooled is true if members take items of a pool (things that exist once), counted if a
	// node limit (such as a most number of volumes) counts what they take.
	pooled, counted bool
	// conflicts has, by node position, the terms that name the role in conflicts
	// (combinations that the filters have refused).
	conflicts map[int32][]conflictTerm
}

// sliceRule holds the levels of a role's Slice as depths; 0 is none.
type sliceRule struct {
	// One domain of depth required must hold the slice, and so must one domain of the
	// smaller depth coarser. One domain of depth preferred should hold it.
	required, coarser, preferred int
	// No two slices of a role share a domain of depth spread.
	spread int
}

// implies returns true if a slice in one domain of the required depth is always in one
// domain of the given depth as well. This is not sure if the required level is the node:
// a node may be in no domain of the given depth.
func (s *sliceRule) implies(depth, levels int) bool {
	return depth == s.required || depth < s.required && s.required <= levels
}

// limit is the most members of a role that the node at pos may get.
type limit struct{ pos, most int32 }

// slice is a run of members that belong together. A role that is not sliced has a single
// slice.
type slice struct {
	pending []*Member
	bound   []int32 // by bound member, the position of its node, -1 if unknown
	taken   int     // the first taken members of pending are already in batches
}

// confinement is a set of members that one domain must hold.
type confinement struct {
	depth int
	// fixed is the domain in which members of the set already run, -1 if none run.
	fixed int32
	// apart is true if the bound members of the set are in several domains or on nodes that
	// are in no domain of the depth. Then none of its pending members can be placed.
	apart bool
	// subject names the set in sentences, for example "role worker".
	subject string
	// bound counts the bound members of the set.
	bound int
}

// wish is a set of members that one domain should hold.
type wish struct {
	depth int
	// first is the domain in which members of the set already run, -1 if none run.
	first int32
	// broken is true if members of the set are in several domains, or on a node that is in
	// no domain of the depth.
	broken bool
}

// batch is a number of equal slices (runs of members that belong together) of one role,
// or of members of a role without slices, that the search places together.
type batch struct {
	role int
	// Each of count slices has size members. Members without slices have size 1.
	size, count          int32
	sliced               bool
	confinements, wishes []int32
	rule                 sliceRule
	// members has one list for each slice, or a single list for members without slices.
	members [][]*Member
}

func (b *batch) total() int64 { return int64(b.size) * int64(b.count) }

// fitsKey is the index of a role and the position of a node: a key for a number of the
// role's members on this node.
type fitsKey struct{ role, pos int32 }

// rememberLimit stores, for later partial placements, that the filters accept at most
// this many members of a role on the node at pos.
func (p *problem) rememberLimit(role int, pos, most int32) {
	p.roles[role].limits = append(p.roles[role].limits, limit{pos, most})
}

// allot gives the next search 1/parts of the remaining budget.
func (p *problem) allot(parts int) {
	p.from, p.size = p.steps, max(0, p.budget-p.steps)/parts
}

// left returns the remaining steps of the current search.
func (p *problem) left() int { return p.from + p.size - p.steps }

// spent returns true if the search has no steps left.
func (p *problem) spent() bool { return p.left() <= 0 }

// domain returns the Domain (level and path) of a vertex of the tree.
func (p *problem) domain(depth int, v int32) Domain {
	return Domain{Level: p.snap.layout.levelName(depth - 1), Path: p.snap.fabric.path(depth, v)}
}

// conflictRule is a compiled Conflict (a combination of members on nodes that the filters
// have refused): the number of its terms, and whether they refused it in an earlier plan.
type conflictRule struct {
	terms   int32
	earlier bool
}

// conflictTerm is a term of a conflict about one role and one node: the index of the
// conflict in problem.conflicts, and the number of members.
type conflictTerm struct{ conflict, count int32 }
