// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"
)

// construct builds a placement inside one domain, batch by batch. It fills each batch
// greedily. The domain of each confinement or wish is a choice. construct backtracks only
// over choices.
type construct struct {
	p       *problem
	partial *partial
	depth   int
	v       int32
	order   []int32
	// choices are the problem's confinements, followed by its wishes.
	choices []choice
	taken   map[spreadKey]bool
	// until is the step at which the attempt ends.
	until int
}

// choice is a confinement or a wish and the domain chosen for it.
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
	waived  // a wish that is not kept
	nowhere // a confinement without a possible domain
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

// constructShare limits one attempt at one batch order to 1/constructShare of the budget.
const constructShare = 16

func newChoice(depth int, v int32, soft bool) choice {
	if v >= 0 {
		return choice{depth: depth, v: v, state: settled, soft: soft}
	}
	return choice{depth: depth, soft: soft}
}

// run places the batches of order from index i on. On failure it restores the partial
// placement.
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
		return c.run(i + 1) // fillInOrder places it
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

// of lists the indices of a batch's choices, coarsest first.
func (c *construct) of(batch int32) []int32 {
	x := &c.p.batches[batch]
	out := slices.Clone(x.confinements)
	for _, w := range x.wishes {
		out = append(out, w+int32(len(c.p.confinements)))
	}
	slices.SortStableFunc(out, func(a, b int32) int { return cmp.Compare(c.choices[a].depth, c.choices[b].depth) })
	return out
}

// undecided returns the index of a batch's coarsest undecided choice, or -1.
func (c *construct) undecided(batch int32) int {
	for _, n := range c.of(batch) {
		if c.choices[n].state == undecided {
			return int(n)
		}
	}
	return -1
}

// home returns the smallest domain allowed by a batch's settled choices. ok is false if
// they contradict each other. It ignores a settled wish outside that domain.
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

// decide tries the domains of a choice. Domains in use come first, then the domain with the
// least room.
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

// candidates lists the domains at a choice's depth that have room for all its unplaced
// members.
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

// pending counts, by role, the unplaced members that share a choice, or all for -1.
func (c *construct) pending(i, n int) []int64 {
	want := make([]int64, len(c.p.roles))
	for _, batch := range c.order[i:] {
		if n < 0 || slices.Contains(c.of(batch), int32(n)) {
			want[c.p.batches[batch].role] += c.p.batches[batch].total()
		}
	}
	return want
}

// holds returns true if a domain has room for the wanted number of each role, by counts.
func (c *construct) holds(depth int, v int32, want []int64) bool {
	for r, n := range want {
		if n > 0 && c.partial.sum(r, depth, v) < n {
			return false
		}
	}
	return true
}
