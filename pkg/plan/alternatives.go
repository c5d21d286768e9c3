// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "fmt"

// maxDivisions is the maximum number of divisions that are planned. A division says how
// many members have each of their alternative needs (what a member requests of its node).
// Each plan is charged at least 1/maxDivisions of the step budget.
const maxDivisions = 256

// budgetShare limits the plan of one division (how many members have each alternative need)
// to 1/budgetShare of the remaining step budget.
const budgetShare = 4

// divisionSearch plans a gang whose roles have alternative needs. It plans one division
// (how many members have each need) after the other.
type divisionSearch struct {
	snap *Snapshot
	gang *Gang
	fits Fits
	// choosers are the roles that have alternatives and members.
	choosers []chooser
	options  Options
	// budget is the step budget, left is what remains of it.
	budget, left int
	// answers caches the results of Fits, the caller's filters, for the plans of all
	// divisions.
	answers map[fitsCall]bool
	// decisions has the decision for each division planned so far, by the division as
	// text.
	decisions map[string]*Decision
	stats     Stats
	// proven is true while no division was skipped for lack of steps and no plan ran out
	// of steps.
	proven bool
	// best is the decision with the best placement so far, nil without a placement.
	// refused is the decision without a placement that has room for the most members; it
	// is reported if best stays nil.
	best, refused *Decision
	bestDivision  division
}

// fitsCall has the arguments of a call of Fits, the caller's filters.
type fitsCall struct {
	role    int
	node    string
	already int
}

// planAlternatives plans a valid gang in which some roles have alternative needs.
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

// setRooms sets chooser.rooms: for each need of a role with alternatives, an upper bound
// of how many units (members that must have the same need) fit with this need. The search
// gives a need to no more units than this. The other units get the role's last need, even
// if they do not fit with it.
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

// run plans divisions (how many members have each alternative need) until none can be
// better than the best.
func (s *divisionSearch) run() {
	// 1. Try the division in which all members have the need of their own role.
	first, last := s.uniform(0), s.uniform(-1)
	if s.mayFit(first) && s.try(first, 0) {
		return
	}
	// 2. Try the division in which all members have their last alternative. If this is
	// the smallest need of each role, no other division places more members.
	s.refused = nil
	s.try(last, 0)
	unplaced := 0
	if s.smallest() && s.stats.FitsRefused == 0 {
		if s.best == nil {
			return
		}
		unplaced = s.best.Unplaced
	}
	// 3. Give as many members as possible an earlier need. If each need is smaller than the
	// one before, bisection finds the largest number. Filters may accept a larger need and
	// refuse a smaller one: after a refusal, run tries all divisions.
	if s.best != nil && s.descending() {
		s.raise(last.clone(), unplaced)
	}
	if !s.descending() || s.stats.FitsRefused > 0 {
		s.list(last, 0, 0, unplaced)
	}
}

// uniform returns the division in which all units (members that must have the same need)
// of each role have the same need: the one with this index in chooser.needs, or the last
// one for -1.
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

// mayFit returns false if counts show that some role which needs all its members has too
// little room for the units that a division gives to one of its needs.
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

// smallest returns true if, for each role with alternatives, the last need fits wherever
// one of the other needs fits.
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

// descending returns true if, for each role with alternatives, each need fits wherever
// the need before it fits.
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

// within returns true if a member with need a of a role fits wherever a member with need b
// fits. a and b are indices in chooser.needs. False may also mean that this is unknown: a
// conflict (a combination that the filters have refused) may name members with only one of
// the needs. PerNode does not matter if a rule allows one member per node anyway.
func (s *divisionSearch) within(c *chooser, a, b int) bool {
	if len(s.gang.Conflicts) > 0 {
		return false
	}
	x, y := s.gang.Roles[c.needs[a]], s.gang.Roles[c.needs[b]]
	if s.gang.apartOnNodes(c.spec.Name) {
		x.Need.PerNode, y.Need.PerNode = 0, 0
	}
	return x.within(&y)
}

// raise gives each need in turn to as many units (members that share a need) as possible,
// while the remaining units have the last need, the smallest. If a number of units works,
// so does each smaller number, so bisection finds the largest. unplaced is how many
// members may stay without a node.
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

// list plans the divisions in order of preference. It varies the needs from need n of the
// i-th role with alternatives (chooser) on. It returns true once a division leaves at
// most unplaced members without a node, or the step budget ends.
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

// try plans a division and keeps its decision if the decision is the best so far. It
// returns true if at most unplaced members stay without a node.
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

// decide returns the decision for a division. It plans each division once, and caches the
// decision. It returns nil if no steps of the budget are left.
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

// found returns for how many members a decision without a placement found room.
func found(d *Decision) int {
	if len(d.Reasons) == 0 {
		return 0
	}
	return d.Reasons[0].Found
}

// asking returns a Fits (filter function) for the roles of a gang that a division
// describes. index has, for each of these roles, its index in Gang.Roles. The caller's
// Fits is called once for the same arguments: the results are cached.
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
