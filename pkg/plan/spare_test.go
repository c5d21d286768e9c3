// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// TestSpare gives all that is spare to other pods, which take any devices of the kinds. The
// nodes must still hold the placement.
func TestSpare(t *testing.T) {
	nodes, devices := 0, 0
	for i := range 5000 {
		d := seeded(*seed+21, uint64(i))
		w := drawTimeline(d)
		r := w.reserve()
		if err := w.checkSpare(d, &r); err != nil {
			t.Fatalf("simulation %d of seed %d: %v\n%s", i, *seed+21, err, w)
		}
		for _, s := range r.Spare {
			nodes++
			for _, n := range s.Kinds {
				devices += int(n)
			}
		}
	}
	t.Logf("%d nodes of placements with %d spare devices", nodes, devices)
}

// checkSpare compares Spare with the reference planner: resources and, unless devices must
// be aligned, devices must be exactly what the placement leaves, and the placement must fit
// when all that is spare is taken.
func (w *timeline) checkSpare(d dice, r *plan.Reservation) error {
	then := w.without(w.leftBy(r.Start))
	ref := &reference{sim: then, memo: map[string]bool{}, nodes: map[string]int{}}
	put := map[string][]int{}
	for _, a := range r.Decision.Assignments {
		if put[a.Node] == nil {
			put[a.Node] = make([]int, len(then.gang.Roles))
		}
		put[a.Node][slices.IndexFunc(then.gang.Roles, func(x plan.Role) bool { return x.Name == a.Role })]++
	}
	if len(put) != len(r.Spare) {
		return fmt.Errorf("%d nodes with spare amounts instead of %d", len(r.Spare), len(put))
	}
	for _, s := range r.Spare {
		n := slices.IndexFunc(then.nodes, func(x plan.NodeSpec) bool { return x.Name == s.Node })
		if err := then.exact(&then.nodes[n], put[s.Node], &s); err != nil {
			return err
		}
		takeAny(d, &then.nodes[n], &s)
		if !ref.room(n, put[s.Node]) {
			return fmt.Errorf("node %s does not hold %v when others take %+v", s.Node, put[s.Node], s)
		}
	}
	return nil
}

// exact returns an error unless the placement and the spare amounts are all that is free on
// the node.
func (sim *simulation) exact(n *plan.NodeSpec, put []int, s *plan.Spare) error {
	used, devices, aligned := make([]int64, len(sim.layout.Resources)), int64(0), false
	for role, k := range put {
		need := &sim.gang.Roles[role].Need
		for i, v := range need.Resources {
			used[i] += int64(k) * v
		}
		for _, x := range need.Devices {
			devices += int64(k * x.Count)
		}
		aligned = aligned || k > 0 && need.Aligned
	}
	for i := range used {
		if used[i]+s.Resources[i] != n.Free[i] {
			return fmt.Errorf("%s: of %v the gang takes %v, and %v is spare", n.Name, n.Free, used, s.Resources)
		}
	}
	free, spare := int64(0), int64(0)
	for _, u := range n.Units {
		for _, v := range u.Free {
			free += int64(v)
		}
	}
	for _, v := range s.Kinds {
		spare += v
	}
	if devices+spare != free && !aligned || devices+spare > free {
		return fmt.Errorf("%s: of %d devices the gang takes %d, and %d are spare", n.Name, free, devices, spare)
	}
	return nil
}

// takeAny takes all that is spare from a node, devices from units at random.
func takeAny(d dice, n *plan.NodeSpec, s *plan.Spare) {
	n.Units = taken(n.Units, nil, -1)
	for i, v := range s.Resources {
		n.Free[i] -= v
	}
	for k, v := range s.Kinds {
		for v > 0 {
			if u := d.roll(len(n.Units)); n.Units[u].Free[k] > 0 {
				n.Units[u].Free[k]--
				v--
				continue
			}
			u := slices.IndexFunc(n.Units, func(u plan.Unit) bool { return u.Free[k] > 0 })
			n.Units[u].Free[k]--
			v--
		}
	}
}

// A need that may take one of two kinds takes the kind that the other need leaves.
func TestSpareOfKinds(t *testing.T) {
	sim := &simulation{
		layout: plan.Layout{Resources: []string{"cpu"}, Kinds: []string{"a100", "h100", "nic"}},
		nodes:  []plan.NodeSpec{{Name: "n", Free: []int64{8}, Units: []plan.Unit{{Free: []int{2, 1, 1}}, {Free: []int{0, 1, 1}}}}},
	}
	sim.gang = plan.Gang{Name: "g", Roles: []plan.Role{
		{Name: "any", Members: []plan.Member{{Name: "a"}, {Name: "b"}}, Need: plan.Need{Devices: []plan.DeviceNeed{{Kinds: []int{0, 1}, Count: 1}}}},
		{Name: "one", Members: []plan.Member{{Name: "c"}}, Need: plan.Need{Resources: []int64{3}, Devices: []plan.DeviceNeed{{Kinds: []int{0}, Count: 2}}}},
	}}
	for _, aligned := range []bool{false, true} {
		sim.gang.Roles[1].Need.Aligned = aligned
		r := plan.Reserve(sim.snapshot(), sim.gang, nil, nil, plan.Options{})
		want := []int64{0, 0, 2}
		if len(r.Spare) != 1 || !slices.Equal(r.Spare[0].Kinds, want) || !slices.Equal(r.Spare[0].Resources, []int64{5}) {
			t.Errorf("spare is %+v instead of 5 CPUs and %v", r.Spare, want)
		}
	}
}

// TestAdmit places other pods one after the other, if the reservation admits them. The gang
// must not start later than before.
func TestAdmit(t *testing.T) {
	const rounds = 5000
	admitted, refused := 0, 0
	for i := range rounds {
		d := seeded(*seed+22, uint64(i))
		w := drawTimeline(d)
		before := w.reserve()
		if !before.Decision.Placed {
			continue
		}
		left := before
		for k := range 1 + d.roll(4) {
			if rest, ok := w.pass(d, left, fmt.Sprintf("passer%d", k)); ok {
				left = rest
				admitted++
			} else {
				refused++
			}
		}
		if after := w.reserve(); !after.Decision.Placed || after.Start > before.Start {
			t.Fatalf("simulation %d of seed %d: with other pods the gang starts at %d instead of %d: %s\n%s",
				i, *seed+22, after.Start, before.Start, after.Decision.Why(), w)
		}
	}
	t.Logf("%d simulations of seed %d: %d passers admitted, %d refused, and no gang delayed", rounds, *seed+22, admitted, refused)
}

// pass lets an occupant take a random part of what is free on some nodes, if the reservation
// admits it. It returns what is left of the reservation.
func (w *timeline) pass(d dice, r plan.Reservation, name string) (plan.Reservation, bool) {
	before, o := slices.Clone(w.nodes), plan.Occupant{Name: name}
	if often(d, 5) {
		o.Ends = 1 + int64(d.roll(6))
	}
	for range 1 + d.roll(2) {
		o.Uses = append(o.Uses, settle(d, &w.nodes[d.roll(len(w.nodes))]))
	}
	text := fmt.Sprintf("%+v", r)
	left, ok := r.Admit(o.Uses, o.Ends)
	if got := fmt.Sprintf("%+v", r); got != text {
		panic("Admit changed " + text + " to " + got)
	}
	if !ok {
		w.nodes = before
		return r, false
	}
	w.occupants = append(w.occupants, o)
	return left, true
}
