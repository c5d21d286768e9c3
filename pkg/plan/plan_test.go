// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

var (
	seed        = flag.Uint64("seed", 20261123, "seed of the random simulations")
	simulations = flag.Int("simulations", 20000, "number of random simulations compared with the reference")
	withRules   = flag.Int("with-rules", 400, "number of random simulations for each kind of rule between members")
)

// TestReference compares the planner's answer and cost with those of the reference planner
// on many small simulations.
func TestReference(t *testing.T) {
	placed, not := 0, 0
	for i := range *simulations {
		sim := draw(seeded(*seed, uint64(i)))
		d, err := compare(sim)
		if err != nil {
			t.Fatalf("simulation %d of seed %d: %v\n%s", i, *seed, err, sim)
		}
		if d.Placed {
			placed++
		} else {
			not++
		}
	}
	t.Logf("%d simulations of seed %d: %d placed, %d impossible, answer and cost equal to the reference in all", *simulations, *seed, placed, not)
}

// compare plans a simulation with both planners and returns an error if the
// answers differ.
func compare(sim *simulation) (plan.Decision, error) {
	calls := map[string]int{}
	fits := func(role int, node string, already int) bool {
		calls[fmt.Sprint(role, node, already)]++
		return sim.fits(role, node, already)
	}
	d := plan.Plan(sim.snapshot(), sim.gang, fits, plan.Options{})
	for q, n := range calls {
		if n > 1 {
			return d, fmt.Errorf("the filters were called %d times with %s", n, q)
		}
	}
	want := sim.solve()
	if d.Exhausted {
		return d, fmt.Errorf("the budget ended: %s", d.Why())
	}
	if d.Placed != (want != nil) {
		return d, fmt.Errorf("placed is %v, the reference's cost is %v: %s", d.Placed, want, d.Why())
	}
	if !d.Placed {
		return d, sim.refused(&d)
	}
	if err := sim.validate(&d); err != nil {
		return d, fmt.Errorf("%w: %v", err, d.Assignments)
	}
	var got []int64
	for _, c := range d.Cost {
		got = append(got, c.Value)
	}
	if !slices.Equal(got, want) {
		return d, fmt.Errorf("cost is %v, the reference's %v: %v", d.Cost, want, d.Assignments)
	}
	return d, nil
}

// refused checks that the filters refuse the nodes that a "no" lists as refused, that the
// role may not use them, or that a conflict is about it there.
func (sim *simulation) refused(d *plan.Decision) error {
	for _, reason := range d.Reasons {
		role := slices.IndexFunc(sim.gang.Roles, func(r plan.Role) bool { return r.Name == reason.Role })
		for _, exclusion := range reason.Excluded {
			if exclusion.Cause == plan.CauseFilter && len(exclusion.Refused) != exclusion.Nodes {
				return fmt.Errorf("%d nodes are excluded by filters, listed are %v", exclusion.Nodes, exclusion.Refused)
			}
			for _, node := range exclusion.Refused {
				only := sim.gang.Roles[role].Nodes
				conflicting := slices.ContainsFunc(sim.gang.Conflicts, func(c plan.Conflict) bool {
					return slices.ContainsFunc(c.Terms, func(term plan.ConflictTerm) bool { return term.Role == reason.Role && term.Node == node })
				})
				if sim.fits(role, node, 0) && !conflicting && (only == nil || slices.Contains(only, node)) {
					return fmt.Errorf("node %s is listed as refused to role %s, but the filters accept it", node, reason.Role)
				}
			}
		}
	}
	return nil
}

// String prints a simulation for a failed test.
func (sim *simulation) String() string {
	s := fmt.Sprintf("layout %+v\n", sim.layout)
	for _, n := range sim.nodes {
		s += fmt.Sprintf("node %+v\n", n)
	}
	g := sim.gang
	g.Roles = nil
	s += fmt.Sprintf("gang %+v\n", g)
	for _, r := range sim.gang.Roles {
		s += fmt.Sprintf("role %+v\n", r)
	}
	return s + fmt.Sprintf("caps %v", sim.caps)
}

// A sentence names a domain by its whole path, unless the names are generated.
func TestDomainString(t *testing.T) {
	id := strings.Repeat("0f0ba375-", 4)
	for want, domain := range map[string]plan.Domain{
		"the fabric":       {Level: "fabric"},
		"leaf s1/l2":       {Level: "leaf", Path: "s1/l2"},
		"clique .../" + id: {Level: "clique", Path: "zone-1/" + id + "/" + id},
		"group " + id + id: {Level: "group", Path: id + id},
	} {
		if got := domain.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestReferenceRules compares the planner with the reference planner on simulations that
// have one kind of rule between members each.
func TestReferenceRules(t *testing.T) {
	for name, add := range map[string]func(d dice, sim *simulation){
		"anti-affinity": drawAntiAffinity,
		"spread":        drawSpread,
		"affinity":      drawAffinity,
		"conflicts":     drawConflicts,
		"all": func(d dice, sim *simulation) {
			drawConflicts(d, sim)
			drawAntiAffinity(d, sim)
			drawSpread(d, sim)
			drawAffinity(d, sim)
		},
	} {
		t.Run(name, func(t *testing.T) {
			placed := 0
			for i := range *withRules {
				d := seeded(*seed+4, uint64(i))
				sim := draw(d)
				g := &sim.gang
				g.AntiAffinity, g.Spread, g.Affinity, g.Partitions, g.Conflicts = nil, nil, nil, nil, nil
				if often(d, 6) {
					simplify(d, sim)
				}
				add(d, sim)
				decision, err := compare(sim)
				if err != nil {
					t.Fatalf("simulation %d of seed %d: %v\n%s", i, *seed+4, err, sim)
				}
				if decision.Placed {
					placed++
				}
			}
			t.Logf("%d simulations of seed %d: %d placed, answer and cost equal to the reference in all", *withRules, *seed+4, placed)
		})
	}
}
