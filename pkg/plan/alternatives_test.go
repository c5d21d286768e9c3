// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// withAlternatives draws a simulation whose first role, and sometimes its second, has
// alternatives. All members are needed. It draws no slices and groups: choosing tries every
// placement of single members.
func withAlternatives(d dice) *simulation {
	sim := &simulation{}
	drawLayout(d, sim)
	for i := range 2 + d.roll(3) {
		sim.nodes = append(sim.nodes, drawNode(d, &sim.layout, i))
	}
	g := &sim.gang
	g.Name, g.Required = "t/gang", drawLevel(d, sim, 3)
	left := 5
	for i := range 1 + d.roll(2) {
		if left == 0 {
			break
		}
		r := drawRole(d, sim, i, &left)
		r.Slice, r.RDMA, r.Preferred = plan.Slice{}, false, ""
		if often(d, 5) {
			r.Min = len(r.Members)
		}
		g.Roles = append(g.Roles, r)
	}
	if slices.ContainsFunc(g.Roles, func(r plan.Role) bool { return r.Min > 0 }) {
		for i := range g.Roles {
			g.Roles[i].Min = len(g.Roles[i].Members)
		}
	}
	drawAntiAffinity(d, sim)
	for i := range len(g.Roles) {
		if i > 0 && often(d, 6) {
			continue
		}
		for k := range 1 + d.roll(2) {
			alt := plan.Role{Name: fmt.Sprintf("%s or %d", g.Roles[i].Name, k), Need: drawNeed(d, &sim.layout), Nodes: g.Roles[i].Nodes}
			if often(d, 5) {
				alt.Need = smaller(d, &g.Roles[i].Need)
			}
			g.Roles[i].Alternatives = append(g.Roles[i].Alternatives, alt.Name)
			g.Roles = append(g.Roles, alt)
		}
	}
	if often(d, 4) {
		drawConflicts(d, sim)
	}
	sim.caps = make([]map[string]int, len(g.Roles))
	for i := range sim.caps {
		sim.caps[i] = map[string]int{}
		if often(d, 3) {
			sim.caps[i][sim.nodes[d.roll(len(sim.nodes))].Name] = d.roll(3)
		}
	}
	return sim
}

// smaller returns a need with fewer devices.
func smaller(d dice, n *plan.Need) plan.Need {
	out := *n
	out.Devices = slices.Clone(n.Devices)
	for i := range out.Devices {
		out.Devices[i].Count -= d.roll(2)
	}
	return out
}

// choosing finds the preferred numbers of members with each need by trying all nodes and
// needs for each member, one after the other.
type choosing struct {
	*reference
	// members are the pending members: the index of each one's role.
	members []int
	// bound are, by role, the nodes of bound members; -1 for one that does not exist.
	bound map[int][]int
	at    []int
	// counts is by role; best has the preferred counts, nil for no placement.
	counts, best []int
}

func (sim *simulation) bestChoice() []int {
	sim = sim.withRulesSpread()
	c := &choosing{reference: &reference{sim: sim, memo: map[string]bool{}, nodes: map[string]int{}}, bound: map[int][]int{}}
	for i, n := range sim.nodes {
		c.nodes[n.Name] = i
	}
	for i := range sim.gang.Roles {
		c.put = append(c.put, make([]int, len(sim.nodes)))
		for _, m := range sim.gang.Roles[i].Members {
			if m.Node == "" {
				c.members = append(c.members, i)
				continue
			}
			c.bound[i] = append(c.bound[i], c.nodes[m.Node])
		}
	}
	c.counts = make([]int, len(sim.gang.Roles))
	c.try(0)
	return c.best
}

// withRulesSpread returns the simulation with rules that name the alternatives as well.
func (sim *simulation) withRulesSpread() *simulation {
	out := *sim
	out.gang.AntiAffinity = nil
	for _, rule := range sim.gang.AntiAffinity {
		for _, names := range []*[]string{&rule.Roles, &rule.Others} {
			all := slices.Clone(*names)
			for _, r := range sim.gang.Roles {
				if slices.Contains(*names, r.Name) {
					all = append(all, r.Alternatives...)
				}
			}
			*names = all
		}
		out.gang.AntiAffinity = append(out.gang.AntiAffinity, rule)
	}
	return &out
}

func (c *choosing) try(m int) {
	if m == len(c.members) {
		if c.keepsLevels() && (c.best == nil || slices.Compare(c.sim.inPreference(c.counts), c.sim.inPreference(c.best)) > 0) {
			c.best = slices.Clone(c.counts)
		}
		return
	}
	role := c.members[m]
	needs := []int{role}
	for _, name := range c.sim.gang.Roles[role].Alternatives {
		needs = append(needs, slices.IndexFunc(c.sim.gang.Roles, func(r plan.Role) bool { return r.Name == name }))
	}
	for _, need := range needs {
		for node := range c.sim.nodes {
			c.put[need][node]++
			c.counts[need]++
			c.at = append(c.at, node)
			if c.holds(need, node) {
				c.try(m + 1)
			}
			c.at = c.at[:len(c.at)-1]
			c.counts[need]--
			c.put[need][node]--
		}
	}
}

// inPreference orders counts by role: each role, its alternatives, then the next role.
func (sim *simulation) inPreference(counts []int) []int {
	var out []int
	for i, r := range sim.gang.Roles {
		if len(r.Members) == 0 {
			continue
		}
		out = append(out, counts[i])
		for _, name := range r.Alternatives {
			out = append(out, counts[slices.IndexFunc(sim.gang.Roles, func(r plan.Role) bool { return r.Name == name })])
		}
	}
	return out
}

// keepsLevels returns true if the required levels of the gang and its roles are kept.
func (c *choosing) keepsLevels() bool {
	if !c.inOne(c.sim.gang.Required, func(int) bool { return true }) {
		return false
	}
	for i := range c.sim.gang.Roles {
		if !c.inOne(c.sim.gang.Roles[i].Required, func(role int) bool { return role == i }) {
			return false
		}
	}
	return true
}

// inOne returns true if one domain of the level holds all members of the roles.
func (c *choosing) inOne(level string, of func(role int) bool) bool {
	var nodes []int
	pending := false
	for m, role := range c.members {
		if of(role) {
			nodes, pending = append(nodes, c.at[m]), true
		}
	}
	for role, at := range c.bound {
		if of(role) {
			nodes = append(nodes, at...)
		}
	}
	if level == "" || !pending {
		return true
	}
	return c.reference.together(c.depthOf(level), nodes)
}

// TestAlternatives compares plans with all choices of nodes and needs: a gang is placed if
// and only if some choice has room for it, and then the most members have the earlier needs.
func TestAlternatives(t *testing.T) {
	placed, refused, mixed := 0, 0, 0
	for i := range *simulations / 10 {
		sim := withAlternatives(seeded(*seed+39, uint64(i)))
		got := plan.Plan(sim.snapshot(), sim.gang, sim.fits, plan.Options{})
		want := sim.bestChoice()
		var counts []int
		if got.Placed {
			counts = make([]int, len(sim.gang.Roles))
			for _, a := range got.Assignments {
				counts[slices.IndexFunc(sim.gang.Roles, func(r plan.Role) bool { return r.Name == a.Role })]++
			}
		}
		if !slices.Equal(counts, want) || (counts == nil) != (want == nil) {
			t.Fatalf("simulation %d: members by need %v, want %v: %s\n%s", i, counts, want, got.Why(), sim)
		}
		switch {
		case want == nil:
			refused++
		case slices.Max(want) < len(got.Assignments):
			mixed++
		default:
			placed++
		}
	}
	t.Logf("seed %d: %d placed with one need, %d with several, %d refused", *seed, placed, mixed, refused)
}

// TestAlternativesInAnyOrder permutes the input. The answer must not change.
func TestAlternativesInAnyOrder(t *testing.T) {
	for i := range 500 {
		sim := withAlternatives(seeded(*seed+40, uint64(i)))
		want := plan.Plan(sim.snapshot(), sim.gang, sim.fits, plan.Options{})
		p := sim.permuted(seeded(*seed+41, uint64(i)).(randomDice).Rand)
		got := plan.Plan(p.snapshot(), p.gang, p.fits, plan.Options{})
		if want.Why() != got.Why() || !slices.Equal(want.Assignments, got.Assignments) {
			t.Fatalf("simulation %d: %s, in another order %s\n%s", i, want.Why(), got.Why(), sim)
		}
	}
}
