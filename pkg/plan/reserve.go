// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// Reservation has the time at which a gang can start if occupants (sets of running pods) leave
// at their known ends, and what the gang leaves free for other pods.
type Reservation struct {
	// Decision is the plan for Start. If the gang has no placement at any time, Decision is
	// the plan for the time at which all occupants with a known end have left, and its Reasons
	// explain why the gang does not fit then.
	Decision Decision
	// Start is the earliest time at which the gang can be placed: the Ends of an occupant, or 0
	// if no occupant has to leave. It is also 0 without a placement.
	Start int64
	// Spare has, for each node of the placement in the order of the tree, what the gang leaves
	// free there at Start.
	Spare []Spare
	// Stats counts the work of all plans. Its Proven is true if the gang certainly cannot start
	// earlier or, without a placement, at any time. Plans is the number of plans.
	Stats Stats
	Plans int
}

// reserveShare limits one plan of a reservation to 1/reserveShare of the remaining search steps,
// so that a plan that uses up its steps leaves some to the plans for later times.
const reserveShare = 2

// Reserve returns the earliest time at which the gang can be placed if every occupant leaves
// at its end, and the cheapest placement for that time. Occupants without a known end stay.
// The answer depends only on Ends and Uses of the occupants. A later time never has less room,
// so Reserve finds the time by bisection.
//
// Like Plan, Reserve is a pure function and gives the same answer for any order of the
// occupants. Options.Budget is the number of search steps of all plans together. If a plan uses
// up its steps, Reserve treats its time as too early.
func Reserve(s *Snapshot, g Gang, occupants []Occupant, fits FitsWithout, o Options) Reservation {
	if f := checkOccupants(&s.layout, occupants); f != nil {
		d := f.decision(&g)
		return Reservation{Decision: d, Stats: d.Stats}
	}
	r := newReserveSearch(s, &g, occupants, fits, o)
	// 1. Plan for the last time. If the gang does not fit then, it never does.
	last := len(r.times) - 1
	best := r.plan(last)
	if !best.decision.Placed {
		return r.result(best)
	}
	// 2. Find the earliest time by bisection. The plan for times[low] found no placement.
	for low, high := -1, last; high-low > 1; {
		middle := low + (high-low)/2
		if p := r.plan(middle); p.decision.Placed {
			best, high = p, middle
		} else {
			r.from, low = p, middle
		}
	}
	return r.result(best)
}

// reserveSearch searches the earliest time at which a gang can be placed.
type reserveSearch struct {
	gang      *Gang
	occupants []Occupant
	fits      FitsWithout
	options   Options
	// left is the number of search steps that remain of the budget.
	left int
	// times has 0, which stands for now, and then the different known ends, ascending. freed
	// has the usages of the occupants with an end, in the order of the ends. At times[i] the
	// first until[i] of them are free.
	times []int64
	freed []usageAt
	until []int
	// from is the plan for the latest time that was too early. Before the first such plan, it
	// has only the snapshot for now. Snapshots for later times begin as forks of its snapshot.
	from  reservePlan
	stats Stats
	plans int
}

// reservePlan is a plan for one time.
type reservePlan struct {
	at       int // index in reserveSearch.times
	snapshot *Snapshot
	decision Decision
}

func newReserveSearch(s *Snapshot, g *Gang, occupants []Occupant, fits FitsWithout, o Options) *reserveSearch {
	r := &reserveSearch{gang: g, occupants: occupants, fits: fits, options: o, left: o.Budget}
	if r.left <= 0 {
		r.left = DefaultBudget
	}
	r.from.snapshot, r.stats.Proven = s, true
	var order []*Occupant
	for i := range occupants {
		if occupants[i].Ends > 0 {
			order = append(order, &occupants[i])
		}
	}
	slices.SortFunc(order, func(a, b *Occupant) int { return cmp.Compare(a.Ends, b.Ends) })
	r.times, r.until = []int64{0}, []int{0}
	for _, o := range order {
		if o.Ends > r.times[len(r.times)-1] {
			r.times, r.until = append(r.times, o.Ends), append(r.until, 0)
		}
		r.freed = append(r.freed, usesAt(s.fabric, o.Uses)...)
		r.until[len(r.until)-1] = len(r.freed)
	}
	return r
}

// plan plans the gang for times[i], which must not be before the time of r.from.
func (r *reserveSearch) plan(i int) reservePlan {
	p := reservePlan{at: i, snapshot: r.snapshot(i)}
	o := r.options
	o.Budget = max(1, r.left/reserveShare)
	if i < len(r.times)-1 {
		o.Capacity = nil // it only explains a failure, which is reported for the last time only
	}
	p.decision = Plan(p.snapshot, *r.gang, r.fitsAt(i), o)
	d := &p.decision.Stats
	r.left -= d.Steps
	r.stats.Steps += d.Steps
	r.stats.FitsCalls += d.FitsCalls
	r.stats.FitsRefused += d.FitsRefused
	r.stats.NodesTouched += d.NodesTouched
	r.stats.DomainsTried += d.DomainsTried
	r.stats.Proven = r.stats.Proven && !p.decision.Exhausted
	r.plans++
	return p
}

// snapshot returns the snapshot of the cluster at times[i].
func (r *reserveSearch) snapshot(i int) *Snapshot {
	more := r.freed[r.until[r.from.at]:r.until[i]]
	if len(more) == 0 {
		return r.from.snapshot
	}
	return r.from.snapshot.freeing(slices.Clone(more)).Freeze()
}

// fitsAt returns the caller's filters for times[i].
func (r *reserveSearch) fitsAt(i int) Fits {
	if r.fits == nil {
		return nil
	}
	var gone []int
	listed := false
	return func(role int, node string, already int) bool {
		if !listed {
			gone, listed = r.goneBy(r.times[i]), true
		}
		return r.fits(gone, role, node, already)
	}
}

// goneBy returns the ascending indices of the occupants that have left by a time.
func (r *reserveSearch) goneBy(time int64) []int {
	var gone []int
	for i := range r.occupants {
		if end := r.occupants[i].Ends; end > 0 && end <= time {
			gone = append(gone, i)
		}
	}
	return gone
}

func (r *reserveSearch) result(p reservePlan) Reservation {
	out := Reservation{Decision: p.decision, Stats: r.stats, Plans: r.plans}
	if p.decision.Placed {
		out.Start = r.times[p.at]
		out.Spare = spareOf(p.snapshot, r.gang, p.decision.Assignments)
	}
	return out
}
