// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// problem is a request compiled for the search. It uses indices instead of names. Its order
// does not depend on the order of the input.
type problem struct {
	snap    *Snapshot
	gang    *Gang
	filters Fits
	stats   *Stats
	// steps is the number of search steps used. All quorums share the budget. The search
	// for the current quorum began at step from and may take size steps.
	steps, budget, from, size int
	// roles are ordered by need, largest first: fewest slots in the whole fabric,
	// then most devices, then name. The first is the leading role.
	roles []role
	dims  []dimension
	// terms are the depths of the domain terms of the cost.
	terms []int
	// bound are the nodes of bound members, each once.
	bound []int32
	// required and preferred are the depths of the gang's own levels, 0 for none.
	required, preferred int
	confinements        []confinement
	wishes              []wish
	// The first ownConfinements confinements and ownWishes wishes come from the request.
	// addPartner adds further ones for one quorum choice.
	ownConfinements, ownWishes int
	batches                    []batch
	apart                      []apartRule
	spreads                    []spreadRule
	affinities                 []affinityRule
	pools                      []poolRule
	nodeLimits                 []nodeLimit
	// partitions are the compiled partitions by their index, nil until a rule uses one.
	// roleIndex is the index of each role by its name, nil until a rule names one.
	partitions []*domains
	roleIndex  map[string]int
	// marks differ between positions that Role.Nodes, the domains of rules, the sites of
	// pools or node limits tell apart. It is nil for a gang without these.
	marks map[int32]uint64
	// told counts the domains of rules in marks.
	told int
	// fresh is the index of the first batch that the last batchesFor made.
	fresh    int
	accepted map[fitsKey]int32
	// capacity is Options.Capacity; total is its last answer.
	capacity func(string, *Capacity) bool
	total    Capacity
}

// role is a Role compiled for the search.
type role struct {
	index  int // in Gang.Roles
	spec   *Role
	roll   *rollup
	takes  []int64 // by dims
	limits []limit
	// only are the positions that the role may use if limited is set.
	only                 map[int32]bool
	limited              bool
	slices               []slice
	confinements, wishes []int32
	bound                []int32
	rule                 sliceRule
	// taken are the spread domains of slices with bound members.
	taken []int32
	// apart, spreads and affinities are the indices of the rules that name the role.
	apart, spreads, affinities []int32
	// pooled is true if members take items of a pool, counted if a node limit counts them.
	pooled, counted bool
}

// sliceRule holds the levels of a slice as depths; 0 is none.
type sliceRule struct {
	// One domain of depth required must hold the slice. So must one domain of depth
	// coarser, if it is set. One domain of depth preferred should hold it.
	required, coarser, preferred int
	// No two slices of a role share a domain of depth spread.
	spread int
}

// implies returns true if one domain of the given depth holds every slice that one domain
// of the required depth holds. A node is not a domain of a level that it lacks.
func (s *sliceRule) implies(depth, levels int) bool {
	return depth == s.required || depth < s.required && s.required <= levels
}

// limit is the most members of a role that one node may get.
type limit struct{ pos, most int32 }

// slice is a run of members. A role that is not sliced has a single slice.
type slice struct {
	pending []*Member
	bound   []int32
	taken   int // pending members already handed to batches
}

// confinement is a set of members that one domain must hold.
type confinement struct {
	depth int
	// fixed is the domain where its members already run, -1 if none run.
	fixed int32
	// apart is true if its bound members are in several domains or on nodes without the
	// level. Then none of its pending members can be placed.
	apart   bool
	subject string
	// bound counts its bound members.
	bound int
}

// wish is a set of members that one domain should hold.
type wish struct {
	depth int
	// first is the domain of the members that already run, -1 if none run.
	first int32
	// broken is true if its members are in several domains or on a node without the level.
	broken bool
}

// batch is a number of equal slices of one role that the search places together.
type batch struct {
	role int
	// Each of count slices has size members. An unsliced run has size 1.
	size, count          int32
	sliced               bool
	confinements, wishes []int32
	rule                 sliceRule
	// members has one list for each slice, or a single list for an unsliced run.
	members [][]*Member
}

func (b *batch) total() int64 { return int64(b.size) * int64(b.count) }

// fitsKey is a role and a position with a completed filter call.
type fitsKey struct{ role, pos int32 }

// rememberLimit stores a refusal of the filters for later partial placements.
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

// domain returns the Domain of a vertex.
func (p *problem) domain(depth int, v int32) Domain {
	return Domain{Level: p.snap.layout.levelName(depth - 1), Path: p.snap.fabric.path(depth, v)}
}
