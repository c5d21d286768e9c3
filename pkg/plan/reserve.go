// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
)

// Reservation says when a gang can start if occupants (running pods) leave at their known
// ends, and what it leaves to others.
type Reservation struct {
	// Decision is the plan for Start. Without a placement, it is the plan for the time at
	// which all occupants with a known end have left, and its Reasons say what is then in
	// the way.
	Decision Decision
	// Start is the earliest time at which the gang can be placed: an Occupant.Ends, or 0 if
	// nobody has to leave. It is 0 without a placement.
	Start int64
	// Spare has, for each node of the placement in the order of the tree, what is free there
	// at Start and not taken by the gang.
	Spare []Spare
	// Stats counts the work of all plans. Its Proven is true if the gang cannot start
	// earlier or, without a placement, if no time exists. Plans is the number of plans.
	Stats Stats
	Plans int
}

// reserveShare limits one plan of a reservation to 1/reserveShare of the steps that are left.
// A plan that runs out of steps then leaves some to the plans for later times.
const reserveShare = 2

// Reserve returns the earliest time at which the gang can be placed if every occupant leaves
// at its end, and the cheapest placement for that time. Occupants without a known end stay.
// Only Ends and Uses of the occupants matter. A later time never has less room, so Reserve
// finds the time by bisection.
//
// Like Plan, Reserve is a pure function and gives the same answer for any order of the
// occupants. Options.Budget is the number of steps of all plans together. If a plan runs out
// of steps, Reserve looks for a later time.
func Reserve(s *Snapshot, g Gang, occupants []Occupant, fits FitsWithout, o Options) Reservation {
	if f := checkOccupants(&s.layout, occupants); f != nil {
		d := Decision{Gang: g.Name}
		d = d.rejected(Reason{Kind: BadRequest, Subject: f.subject, Detail: f.detail})
		return Reservation{Decision: d, Stats: d.Stats}
	}
	r := newReserveSearch(s, &g, occupants, fits, o)
	// 1. Plan for the last time. If nothing fits then, it never does.
	last := len(r.times) - 1
	best := r.plan(last)
	if !best.decision.Placed {
		return r.result(best)
	}
	// 2. Find the earliest time by bisection. No placement exists at times[low].
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
	// left is what remains of the step budget.
	left int
	// times are 0, which stands for now, and the different known ends, ascending. freed is
	// what becomes free, by time: the first until[i] of it are free at times[i].
	times []int64
	freed []usageAt
	until []int
	// from is the plan for the latest time that is known to be too early, or the snapshot at
	// the beginning. Snapshots of later times begin as forks of its snapshot.
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

// plan plans the gang for times[i], which is not before r.from.
func (r *reserveSearch) plan(i int) reservePlan {
	p := reservePlan{at: i, snapshot: r.snapshot(i)}
	o := r.options
	o.Budget = max(1, r.left/reserveShare)
	if i < len(r.times)-1 {
		o.Capacity = nil // the reasons are not reported
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

// snapshot returns the cluster at times[i].
func (r *reserveSearch) snapshot(i int) *Snapshot {
	more := r.freed[r.until[r.from.at]:r.until[i]]
	if len(more) == 0 {
		return r.from.snapshot
	}
	fork := r.from.snapshot.Fork()
	fork.give(slices.Clone(more))
	return fork.Freeze()
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

// goneBy returns the occupants that have left by a time, by ascending index.
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
