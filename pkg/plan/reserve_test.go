// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

var reservations = flag.Int("reservations", 20000, "number of random reservations compared with the reference")

// timeline is a simulation whose nodes have occupants. Filters accept more members on a node
// for each occupant that has left it.
type timeline struct {
	*simulation
	occupants []plan.Occupant
}

// drawTimeline returns a random simulation. Most occupants take what would be free
// otherwise; some take more of their nodes.
func drawTimeline(d dice) *timeline {
	w := &timeline{simulation: draw(d)}
	if often(d, 7) {
		w.makeRoom(d)
	}
	for i := range d.roll(8) {
		o := plan.Occupant{Name: fmt.Sprintf("o%d", i)}
		if often(d, 2) {
			o = drawOccupant(d, w.simulation, i)
		} else {
			for range 1 + d.roll(3) {
				o.Uses = append(o.Uses, settle(d, &w.nodes[d.roll(len(w.nodes))]))
			}
		}
		if often(d, 8) {
			o.Ends = 1 + int64(d.roll(5))
		}
		w.occupants = append(w.occupants, o)
	}
	return w
}

// makeRoom makes nodes large and the request easier, so that more gangs can start once the
// occupants leave.
func (w *timeline) makeRoom(d dice) {
	for i := range w.nodes {
		n := &w.nodes[i]
		n.Free, n.Unschedulable = []int64{int64(2 + d.roll(4)), int64(4 + d.roll(6))}, false
		if len(n.Units) == 0 {
			n.Units = w.nodes[0].Units
		}
	}
	g := &w.gang
	g.Pools, g.NodeLimits, g.Conflicts, g.Affinity = nil, nil, nil, nil
	for i := range g.Roles {
		r := &g.Roles[i]
		r.Nodes = nil
		if len(w.nodes[0].Units) == 0 || often(d, 4) {
			r.Need.Devices = nil
		}
	}
}

// settle takes a random part of what is free on a node.
func settle(d dice, n *plan.NodeSpec) plan.Usage {
	u := plan.Usage{Node: n.Name}
	n.Free = slices.Clone(n.Free)
	n.Units = taken(n.Units, nil, -1)
	for i := range n.Free {
		take := int64(d.roll(int(n.Free[i]) + 1))
		if often(d, 5) {
			take = n.Free[i]
		}
		n.Free[i] -= take
		u.Resources = append(u.Resources, take)
	}
	for i := range n.Units {
		unit := plan.Unit{}
		for k, free := range n.Units[i].Free {
			unit.Free = append(unit.Free, d.roll(free+1))
			n.Units[i].Free[k] -= unit.Free[k]
		}
		u.Units = append(u.Units, unit)
	}
	return u
}

// leftBy returns the occupants that have left by a time.
func (w *timeline) leftBy(time int64) []int {
	var gone []int
	for i := range w.occupants {
		if end := w.occupants[i].Ends; end > 0 && end <= time {
			gone = append(gone, i)
		}
	}
	return gone
}

// more returns how many more members the filters accept on a node without some occupants.
func (w *timeline) more(gone []int, node string) int {
	n := 0
	for _, i := range gone {
		if slices.ContainsFunc(w.occupants[i].Uses, func(u plan.Usage) bool { return u.Node == node }) {
			n++
		}
	}
	return n
}

func (w *timeline) fitsWithout(gone []int, role int, node string, already int) bool {
	return w.fits(role, node, already-w.more(gone, node))
}

// without returns the simulation without some occupants.
func (w *timeline) without(gone []int) *simulation {
	sim := *w.simulation
	sim.nodes = emptiedNodes(w.nodes, w.occupants, gone)
	sim.caps = nil
	for role := range w.caps {
		caps := maps.Clone(w.caps[role])
		for node := range caps {
			caps[node] += w.more(gone, node)
		}
		sim.caps = append(sim.caps, caps)
	}
	return &sim
}

// solve returns the earliest time at which the reference planner finds a placement, and its
// cost, or nil if there is no such time.
func (w *timeline) solve() (int64, []int64) {
	times := []int64{0}
	for i := range w.occupants {
		times = append(times, w.occupants[i].Ends)
	}
	slices.Sort(times)
	for _, time := range slices.Compact(times) {
		if cost := w.without(w.leftBy(time)).solve(); cost != nil {
			return time, cost
		}
	}
	return 0, nil
}

// compareReserve reserves with the planner and with the reference, and returns an error if
// the answers differ.
func (w *timeline) compareReserve() (plan.Reservation, error) {
	calls := map[string]bool{}
	var twice error
	r := plan.Reserve(w.snapshot(), w.gang, w.occupants, func(gone []int, role int, node string, already int) bool {
		call := fmt.Sprint(gone, role, node, already)
		if calls[call] {
			twice = fmt.Errorf("the filters were called twice with %s", call)
		}
		calls[call] = true
		return w.fitsWithout(gone, role, node, already)
	}, plan.Options{})
	time, cost := w.solve()
	d := &r.Decision
	switch {
	case twice != nil:
		return r, twice
	case d.Exhausted || !r.Stats.Proven:
		return r, fmt.Errorf("the budget ended: %s", d.Why())
	case d.Placed != (cost != nil):
		return r, fmt.Errorf("placed is %v, the reference's cost is %v at %d: %s", d.Placed, cost, time, d.Why())
	case r.Start != time:
		return r, fmt.Errorf("start is %d, the reference's %d", r.Start, time)
	case !d.Placed:
		if len(d.Reasons) == 0 || len(r.Spare) > 0 {
			return r, fmt.Errorf("reasons %v and spare %v without a placement", d.Reasons, r.Spare)
		}
		return r, nil
	}
	var got []int64
	for _, c := range d.Cost {
		got = append(got, c.Value)
	}
	if !slices.Equal(got, cost) {
		return r, fmt.Errorf("cost is %v, the reference's %v: %v", d.Cost, cost, d.Assignments)
	}
	then := w.without(w.leftBy(r.Start))
	if err := then.validate(d); err != nil {
		return r, fmt.Errorf("%w: %v", err, d.Assignments)
	}
	return r, nil
}

// String prints the simulation for a failed test.
func (w *timeline) String() string {
	text := w.simulation.String()
	for i := range w.occupants {
		text += fmt.Sprintf("\noccupant %+v", w.occupants[i])
	}
	return text
}

// TestReserveReference compares Reserve with a search over all times with the reference
// planner.
func TestReserveReference(t *testing.T) {
	count := map[string]int{}
	for i := range *reservations {
		w := drawTimeline(seeded(*seed+15, uint64(i)))
		r, err := w.compareReserve()
		if err != nil {
			t.Fatalf("simulation %d of seed %d: %v\n%s", i, *seed+15, err, w)
		}
		switch {
		case !r.Decision.Placed:
			count["never"]++
		case r.Start == 0:
			count["now"]++
		default:
			count["later"]++
		}
	}
	t.Logf("%d simulations of seed %d: start now, later and never: %d, %d, %d; start and cost equal to the reference in all",
		*reservations, *seed+15, count["now"], count["later"], count["never"])
}

// TestReserveSooner lets an occupant leave sooner. The gang must not start later.
func TestReserveSooner(t *testing.T) {
	const rounds = 5000
	earlier := 0
	for i := range rounds {
		d := seeded(*seed+16, uint64(i))
		w := drawTimeline(d)
		if len(w.occupants) == 0 {
			continue
		}
		before := w.reserve()
		o := &w.occupants[d.roll(len(w.occupants))]
		was := o.Ends
		if was == 0 {
			was = 6
		}
		o.Ends = 1 + int64(d.roll(int(was)))
		after := w.reserve()
		if before.Decision.Placed && (!after.Decision.Placed || after.Start > before.Start) {
			t.Fatalf("simulation %d of seed %d: occupant %s leaves at %d instead of %d, and the gang starts at %d instead of %d\n%s",
				i, *seed+16, o.Name, o.Ends, was, after.Start, before.Start, w)
		}
		if after.Decision.Placed && (!before.Decision.Placed || after.Start < before.Start) {
			earlier++
		}
	}
	t.Logf("%d simulations of seed %d: the gang starts earlier in %d and later in none", rounds, *seed+16, earlier)
}

func (w *timeline) reserve() plan.Reservation {
	return plan.Reserve(w.snapshot(), w.gang, w.occupants, w.fitsWithout, plan.Options{})
}

// TestReserveOrderOfInput permutes the occupants. The answer must not change.
func TestReserveOrderOfInput(t *testing.T) {
	for i := range 3000 {
		d := seeded(*seed+17, uint64(i))
		w := drawTimeline(d)
		want := w.reserve()
		for k := range w.occupants {
			other := d.roll(k + 1)
			w.occupants[k], w.occupants[other] = w.occupants[other], w.occupants[k]
		}
		if diff := cmp.Diff(want, w.reserve()); diff != "" {
			t.Fatalf("simulation %d: (-want,+got)\n%s\n%s", i, diff, w)
		}
	}
}

// TestReserveIsPlanOnAStateBuiltAnew compares the decision with the plan on a state that is
// built without the occupants, and checks that the caller's snapshot is unchanged.
func TestReserveIsPlanOnAStateBuiltAnew(t *testing.T) {
	for i := range 3000 {
		w := drawTimeline(seeded(*seed+18, uint64(i)))
		s := w.snapshot()
		got := plan.Reserve(s, w.gang, w.occupants, w.fitsWithout, plan.Options{})
		time := got.Start
		if !got.Decision.Placed {
			time = 6
		}
		then := w.without(w.leftBy(time))
		want := plan.Plan(then.snapshot(), then.gang, then.fits, plan.Options{Budget: plan.DefaultBudget / 2})
		if diff := cmp.Diff(want, got.Decision, ignoreWork); diff != "" {
			t.Fatalf("simulation %d: (-want,+got)\n%s\n%s", i, diff, w)
		}
		w.check(t, fmt.Sprintf("simulation %d afterwards", i), s)
	}
}

// FuzzReserve compares Reserve with the reference on simulations built from the fuzzer's
// bytes.
func FuzzReserve(f *testing.F) {
	addSeeds(f, *seed+19, 300)
	f.Fuzz(func(t *testing.T, data []byte) {
		w := drawTimeline(&byteDice{data})
		r, err := w.compareReserve()
		if err != nil {
			t.Fatalf("%v\n%s", err, w)
		}
		if err := w.checkSpare(&byteDice{data}, &r); err != nil {
			t.Fatalf("%v\n%s", err, w)
		}
	})
}

// TestReserveBadRequest lists the faults of a request.
func TestReserveBadRequest(t *testing.T) {
	sim := draw(seeded(*seed, 1))
	for subject, r := range map[string]plan.Reservation{
		"occupant ": plan.Reserve(sim.snapshot(), sim.gang, []plan.Occupant{{}}, nil, plan.Options{}),
		"roles":     plan.Reserve(sim.snapshot(), plan.Gang{Name: "a"}, []plan.Occupant{{Name: "b", Ends: 1}}, nil, plan.Options{}),
	} {
		reasons := r.Decision.Reasons
		if r.Decision.Placed || len(reasons) != 1 || reasons[0].Kind != plan.BadRequest || reasons[0].Subject != subject || !r.Stats.Proven {
			t.Errorf("%s: %+v", subject, r)
		}
	}
}

// TestReserveBudget gives Reserve a few steps. It must not say that a start is the earliest
// if a plan for an earlier time ran out of steps, and its placements must be valid.
func TestReserveBudget(t *testing.T) {
	ended := 0
	for i := range 3000 {
		d := seeded(*seed+20, uint64(i))
		w := drawTimeline(d)
		few := plan.Reserve(w.snapshot(), w.gang, w.occupants, w.fitsWithout, plan.Options{Budget: 1 + d.roll(60)})
		if few.Decision.Placed {
			if err := w.without(w.leftBy(few.Start)).validate(&few.Decision); err != nil {
				t.Fatalf("simulation %d: %v\n%s", i, err, w)
			}
		}
		if !few.Stats.Proven {
			ended++
			continue
		}
		if full := w.reserve(); full.Decision.Placed != few.Decision.Placed || full.Start != few.Start {
			t.Fatalf("simulation %d: start is %d with few steps and %d with many\n%s", i, few.Start, full.Start, w)
		}
	}
	t.Logf("the budget ended in %d of 3000 simulations", ended)
}
