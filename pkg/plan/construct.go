// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"
)

// construct builds a placement inside one domain, batch by batch (a batch is members of
// one role that are placed together). It fills each batch greedily. It backtracks only
// over choices: the domain of each confinement (members that one domain must hold) and
// wish (members that one domain should hold).
type construct struct {
	p       *problem
	partial *partial
	depth   int
	v       int32
	order   []int32 // the indices of the batches, in the order in which they are placed
	// choices has an entry for each of the problem's confinements, then one for each of
	// its wishes.
	choices []choice
	// taken has, by role, the domains of level Slice.Spread that hold a slice (a run of
	// members that belong together). No other slice of the role may use them.
	taken map[spreadKey]bool
	// until is the step of the search at which this construction must end.
	until int
}

// choice is a set of members that one domain of a depth must hold, or should hold if it is
// soft, and the vertex (index at that depth of the topology tree) of the domain chosen for
// it.
type choice struct {
	depth int
	v     int32
	state choiceState
	soft  bool
}

type choiceState uint8

const (
	undecided choiceState = iota
	settled
	waived  // the members that one domain should hold need not be in one
	nowhere // no domain can hold the members that one domain must hold
)

func newConstruct(pp *partial, depth int, v int32, order []int32) *construct {
	c := &construct{p: pp.p, partial: pp, depth: depth, v: v, order: order, taken: map[spreadKey]bool{}}
	for _, s := range pp.p.confinements {
		x := newChoice(s.depth, s.fixed, false)
		if s.apart {
			x.state = nowhere
		}
		c.choices = append(c.choices, x)
	}
	for _, w := range pp.p.wishes {
		x := newChoice(w.depth, w.first, true)
		if w.broken {
			x.state = waived
		}
		c.choices = append(c.choices, x)
	}
	for r := range pp.p.roles {
		for _, t := range pp.p.roles[r].taken {
			c.taken[spreadKey{r, t}] = true
		}
	}
	c.until = pp.p.steps + max(1, pp.p.size/constructShare)
	return c
}

// constructShare limits a construction (one attempt, with one order of the batches) to
// 1/constructShare of the steps of a search.
const constructShare = 16

func newChoice(depth int, v int32, soft bool) choice {
	if v >= 0 {
		return choice{depth: depth, v: v, state: settled, soft: soft}
	}
	return choice{depth: depth, soft: soft}
}

// run places the batches c.order[i:]. If it returns false, it has restored the partial
// placement (the members placed before).
func (c *construct) run(i int) bool {
	c.p.steps++
	if i == len(c.order) {
		return !c.p.ordered() || c.fillInOrder()
	}
	if c.p.steps >= c.until {
		return false
	}
	batch := c.order[i]
	if n := c.undecided(batch); n >= 0 {
		return c.decide(i, n)
	}
	depth, v, ok := c.home(batch)
	if !ok {
		return false
	}
	if c.p.ordered() && !c.p.batches[batch].sliced {
		return c.run(i + 1) // fillInOrder places this batch, member by member
	}
	mark := len(c.partial.log)
	before := c.taken
	c.taken = maps.Clone(before)
	if c.partial.fillBatch(batch, depth, v, c.taken) && c.run(i+1) {
		return true
	}
	c.taken = before
	c.partial.undo(mark)
	return false
}

// of returns the indices of the choices that concern a batch, coarsest depth first. A
// choice is a set of members that must or should be in one domain.
func (c *construct) of(batch int32) []int32 {
	x := &c.p.batches[batch]
	out := slices.Clone(x.confinements)
	for _, w := range x.wishes {
		out = append(out, w+int32(len(c.p.confinements)))
	}
	slices.SortStableFunc(out, func(a, b int32) int { return cmp.Compare(c.choices[a].depth, c.choices[b].depth) })
	return out
}

// undecided returns the index of the coarsest choice (members that must or should be in
// one domain) of a batch for which no domain is chosen yet, or -1.
func (c *construct) undecided(batch int32) int {
	for _, n := range c.of(batch) {
		if c.choices[n].state == undecided {
			return int(n)
		}
	}
	return -1
}

// home returns the smallest domain in which a batch must be placed, by the domains chosen
// for the sets of members that it belongs to. ok is false if these domains contradict
// each other. A domain that only should hold the batch is ignored if it contradicts the
// others.
func (c *construct) home(batch int32) (depth int, v int32, ok bool) {
	depth, v = c.depth, c.v
	for _, n := range c.of(batch) {
		x := &c.choices[n]
		if x.state == nowhere {
			return 0, 0, false
		}
		if x.state != settled {
			continue
		}
		d, w, nested := c.partial.f.inner(depth, v, x.depth, x.v)
		if !nested && !x.soft {
			return 0, 0, false
		}
		if nested {
			depth, v = d, w
		}
	}
	return depth, v, true
}

// decide chooses a domain for choice n (members that must or should be in one domain) and
// places the batches from index i on. It tries domains in use first, then the domain with
// the least room. If the members only should be in one domain, it last tries without one.
// It returns false if nothing works.
func (c *construct) decide(i, n int) bool {
	x := &c.choices[n]
	for _, v := range c.candidates(i, n) {
		x.state, x.v = settled, v
		if c.run(i) {
			return true
		}
		if c.p.steps >= c.until {
			break
		}
	}
	x.state = undecided
	if !x.soft {
		return false
	}
	x.state = waived
	if c.run(i) {
		return true
	}
	x.state = undecided
	return false
}

// candidates lists the domains that may be chosen for choice n when batch order[i] is
// placed next: those with room, by counts of resources and devices, for all unplaced
// members that must or should be in this domain.
func (c *construct) candidates(i, n int) []int32 {
	depth, v, ok := c.home(c.order[i])
	if !ok {
		return nil
	}
	x := &c.choices[n]
	lo, hi := c.partial.f.span(depth, v)
	if lo == hi {
		return nil
	}
	first, last := c.partial.f.at(x.depth, lo), c.partial.f.at(x.depth, hi-1)
	role := c.p.batches[c.order[i]].role
	want := c.pending(i, n)
	var out []int32
	for w := first; w <= last; w++ {
		if c.partial.f.real(x.depth, w) && c.holds(x.depth, w, want) {
			out = append(out, w)
		}
	}
	c.p.steps += int(last-first)/scanSteps + 1
	slices.SortStableFunc(out, func(a, b int32) int {
		oa, ob := c.partial.isOpen(x.depth, a), c.partial.isOpen(x.depth, b)
		if oa != ob {
			if oa {
				return -1
			}
			return 1
		}
		return cmp.Compare(c.partial.sum(role, x.depth, a), c.partial.sum(role, x.depth, b))
	})
	return out
}

// pending counts, by role, the members of the batches order[i:] that share choice n, or
// all their members for -1.
func (c *construct) pending(i, n int) []int64 {
	want := make([]int64, len(c.p.roles))
	for _, batch := range c.order[i:] {
		if n < 0 || slices.Contains(c.of(batch), int32(n)) {
			want[c.p.batches[batch].role] += c.p.batches[batch].total()
		}
	}
	return want
}

// holds returns true if the domain with vertex v has room, by counts, for want[role]
// members of each role.
func (c *construct) holds(depth int, v int32, want []int64) bool {
	for r, n := range want {
		if n > 0 && c.partial.sum(r, depth, v) < n {
			return false
		}
	}
	return true
}
