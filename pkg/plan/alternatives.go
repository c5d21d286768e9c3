// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "fmt"

// maxDivisions is the number of divisions planned with the default step budget: each plan
// costs at least that part of the budget.
const maxDivisions = 256

// budgetShare is the part of the remaining step budget that the plan of one division may
// use.
const budgetShare = 4

// divisionSearch plans divisions of the members over their needs.
type divisionSearch struct {
	snap     *Snapshot
	gang     *Gang
	fits     Fits
	choosers []chooser
	options  Options
	// budget is the step budget, left is what remains of it.
	budget, left int
	// answers are the answers of Fits to all plans.
	answers map[fitsCall]bool
	// decisions has the decision for each division planned.
	decisions map[string]*Decision
	stats     Stats
	// proven is true while no plan has failed for want of steps and none was omitted.
	proven bool
	// best is the best placement, nil if there is none. refused is the decision to report
	// then.
	best, refused *Decision
	bestDivision  division
}

// fitsCall is a call of Fits.
type fitsCall struct {
	role    int
	node    string
	already int
}

// planAlternatives plans a gang with alternatives, which is checked.
func planAlternatives(s *Snapshot, g *Gang, fits Fits, o Options) Decision {
	search := divisionSearch{
		snap: s, gang: g, fits: fits, choosers: g.choosers(), options: o, budget: o.Budget,
		answers: map[fitsCall]bool{}, decisions: map[string]*Decision{}, proven: true,
	}
	if search.budget <= 0 {
		search.budget = DefaultBudget
	}
	search.left = search.budget
	search.setRooms()
	search.run()
	d := search.best
	if d == nil {
		d = search.refused
		if !search.proven && !d.Exhausted {
			d.Exhausted = true
			d.Reasons = append([]Reason{{Kind: BudgetEnded}}, d.Reasons...)
		}
	}
	proven := search.proven && d.Stats.Proven
	d.Stats = search.stats
	d.Stats.Proven = proven
	return *d
}

// setRooms bounds the units that can have each need. Units beyond the bounds have the last
// need, whether or not they have room.
func (s *divisionSearch) setRooms() {
	for i := range s.choosers {
		c := &s.choosers[i]
		size := len(c.spec.Members)
		for _, unit := range c.units {
			size = min(size, len(unit))
		}
		for _, need := range c.needs {
			room := len(c.units)
			if roll, touched, err := s.snap.rollup(&s.gang.Roles[need].Need); err == nil {
				room = int(min(int64(room), (roll.sum[0][0]+int64(size)-1)/int64(size)))
				s.stats.NodesTouched += touched
			}
			c.rooms = append(c.rooms, room)
		}
	}
}

// run plans divisions until no better one is left.
func (s *divisionSearch) run() {
	// 1. All members have the first need.
	first, last := s.uniform(0), s.uniform(-1)
	if s.mayFit(first) && s.try(first, 0) {
		return
	}
	// 2. All members have the last need. If that is the smallest of all, then no division
	// places more members.
	s.refused = nil
	s.try(last, 0)
	unplaced := 0
	if s.smallest() && s.stats.FitsRefused == 0 {
		if s.best == nil {
			return
		}
		unplaced = s.best.Unplaced
	}
	// 3. As many members as possible have the earlier needs. What the filters refuse is not a
	// matter of sizes.
	if s.best != nil && s.descending() {
		s.raise(last.clone(), unplaced)
	}
	if !s.descending() || s.stats.FitsRefused > 0 {
		s.list(last, 0, 0, unplaced)
	}
}

// uniform returns the division in which all units have the same need: the first, or the last
// for -1.
func (s *divisionSearch) uniform(need int) division {
	d := make(division, len(s.choosers))
	for i := range s.choosers {
		d[i] = make([]int, len(s.choosers[i].needs))
		at := need
		if need < 0 {
			at = len(d[i]) - 1
		}
		d[i][at] = len(s.choosers[i].units)
	}
	return d
}

// mayFit returns false if counts show that the division cannot place all members.
func (s *divisionSearch) mayFit(d division) bool {
	for i := range s.choosers {
		for n, units := range d[i] {
			if s.choosers[i].allNeeded && units > s.choosers[i].rooms[n] {
				return false
			}
		}
	}
	return true
}

// smallest returns true if the last need of each chooser is within all its others.
func (s *divisionSearch) smallest() bool {
	for i := range s.choosers {
		last := len(s.choosers[i].needs) - 1
		for n := range last {
			if !s.within(&s.choosers[i], last, n) {
				return false
			}
		}
	}
	return true
}

// descending returns true if each need of each chooser is within the need before it.
func (s *divisionSearch) descending() bool {
	for i := range s.choosers {
		for n := 1; n < len(s.choosers[i].needs); n++ {
			if !s.within(&s.choosers[i], n, n-1) {
				return false
			}
		}
	}
	return true
}

// within returns true if wherever a member with need b has room, a member with need a has
// room, too. False says nothing.
func (s *divisionSearch) within(c *chooser, a, b int) bool {
	x, y := s.gang.Roles[c.needs[a]], s.gang.Roles[c.needs[b]]
	if s.gang.apartOnNodes(c.spec.Name) {
		x.Need.PerNode, y.Need.PerNode = 0, 0
	}
	return x.within(&y)
}

// raise gives each need in turn to as many units as possible, while the others have the
// smallest. Smaller needs only make room, so it finds the number by bisection.
func (s *divisionSearch) raise(d division, unplaced int) {
	for i := range d {
		last := len(d[i]) - 1
		for n := range last {
			from := d[i][last]
			low, high := 0, min(from, s.choosers[i].rooms[n])
			for low < high {
				middle := (low + high + 1) / 2
				d[i][n], d[i][last] = middle, from-middle
				if s.try(d, unplaced) {
					low = middle
				} else {
					high = middle - 1
				}
			}
			d[i][n], d[i][last] = low, from-low
		}
	}
}

// list plans the divisions in order of preference, from a need of a chooser on. It returns
// true after one that leaves at most that many members without a node.
func (s *divisionSearch) list(d division, i, n, unplaced int) bool {
	if i == len(d) {
		return s.mayFit(d) && s.try(d, unplaced)
	}
	last := len(d[i]) - 1
	if n == last {
		return s.list(d, i+1, 0, unplaced)
	}
	from := d[i][last]
	defer func() { d[i][n], d[i][last] = 0, from }()
	for units := min(from, s.choosers[i].rooms[n]); units >= 0; units-- {
		d[i][n], d[i][last] = units, from-units
		if s.list(d, i, n+1, unplaced) {
			return true
		}
		if s.left <= 0 {
			s.proven = false
			return true
		}
	}
	return false
}

// try plans a division and keeps the decision if it is the best. It returns true if at most
// that many members have no node.
func (s *divisionSearch) try(d division, unplaced int) bool {
	decision := s.decide(d)
	if decision == nil {
		return false
	}
	switch {
	case !decision.Placed:
		if s.refused == nil || found(decision) > found(s.refused) {
			s.refused = decision
		}
		return false
	case s.best == nil || decision.Unplaced < s.best.Unplaced || decision.Unplaced == s.best.Unplaced && d.before(s.bestDivision):
		s.best, s.bestDivision = decision, d.clone()
	}
	return decision.Unplaced <= unplaced
}

// decide plans a division. It returns nil if no steps are left.
func (s *divisionSearch) decide(d division) *Decision {
	key := fmt.Sprint(d)
	if before := s.decisions[key]; before != nil {
		return before
	}
	if s.left <= 0 {
		s.proven = false
		return nil
	}
	gang, index := s.gang.fixed(s.choosers, d)
	decision := planFixed(s.snap, &gang, s.asking(index), Options{Budget: max(1, s.left/budgetShare), Capacity: s.options.Capacity})
	s.left -= max(decision.Stats.Steps, s.budget/maxDivisions)
	s.stats.Steps += decision.Stats.Steps
	s.stats.NodesTouched += decision.Stats.NodesTouched
	s.stats.DomainsTried += decision.Stats.DomainsTried
	s.proven = s.proven && !decision.Exhausted
	s.decisions[key] = &decision
	return &decision
}

// found returns the number of members for which a refused division has room.
func found(d *Decision) int {
	if len(d.Reasons) == 0 {
		return 0
	}
	return d.Reasons[0].Found
}

// asking returns Fits for a division's roles. It asks each question once.
func (s *divisionSearch) asking(index []int) Fits {
	if s.fits == nil {
		return nil
	}
	return func(role int, node string, already int) bool {
		call := fitsCall{index[role], node, already}
		fits, asked := s.answers[call]
		if !asked {
			fits = s.fits(call.role, node, already)
			s.answers[call] = fits
			s.stats.FitsCalls++
			if !fits {
				s.stats.FitsRefused++
			}
		}
		return fits
	}
}
