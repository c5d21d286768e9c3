// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// dice returns the random choices for a simulation.
type dice interface {
	// roll returns a number in 0..n-1.
	roll(n int) int
}

type randomDice struct{ *rand.Rand }

func (d randomDice) roll(n int) int { return d.IntN(n) }

func seeded(seed, n uint64) dice { return randomDice{rand.New(rand.NewPCG(seed, n))} }

// byteDice reads its choices from a fuzzer's bytes. It returns zeros after their end.
type byteDice struct{ data []byte }

func (d *byteDice) roll(n int) int {
	if len(d.data) == 0 {
		return 0
	}
	v := int(d.data[0]) % n
	d.data = d.data[1:]
	return v
}

// addSeeds adds 16 inputs of random bytes to those with which a fuzz target begins.
func addSeeds(f *testing.F, seed uint64, length int) {
	for i := range uint64(16) {
		d := seeded(seed, i)
		data := make([]byte, length)
		for k := range data {
			data[k] = byte(d.roll(256))
		}
		f.Add(data)
	}
}

// often returns true in p of ten cases.
func often(d dice, p int) bool { return d.roll(10) < p }

// maxMembers limits the reference planner's work.
const maxMembers = 6

// draw returns a small random simulation: a few nodes and members, and sometimes each
// feature.
func draw(d dice) *simulation {
	sim := &simulation{}
	drawLayout(d, sim)
	for i := range 2 + d.roll(5) {
		sim.nodes = append(sim.nodes, drawNode(d, &sim.layout, i))
	}
	drawGang(d, sim)
	sim.caps = make([]map[string]int, len(sim.gang.Roles))
	for i := range sim.caps {
		sim.caps[i] = map[string]int{}
		for _, n := range sim.nodes {
			if often(d, 1) {
				sim.caps[i][n.Name] = d.roll(3)
			}
		}
	}
	return sim
}

func drawLayout(d dice, sim *simulation) {
	for i := range d.roll(4) {
		sim.layout.Levels = append(sim.layout.Levels, plan.Level{Name: fmt.Sprintf("level%d", i), Boundary: often(d, 2)})
	}
	sim.layout.Resources = []string{"pods", "cpu"}
	sim.layout.Kinds = []string{"gpu", "nic", "oldgpu"}[:d.roll(4)]
}

func drawNode(d dice, l *plan.Layout, i int) plan.NodeSpec {
	n := plan.NodeSpec{Name: fmt.Sprintf("n%d", i), Unschedulable: d.roll(20) == 0}
	for k := range l.Levels {
		name := fmt.Sprintf("%c%d", 'a'+k, d.roll(2+k))
		if d.roll(12) == 0 {
			name = ""
		}
		n.Domains = append(n.Domains, name)
	}
	n.Free = []int64{int64(d.roll(5)), int64(2 + d.roll(6))}
	if len(l.Kinds) > 0 {
		for range d.roll(4) {
			u := plan.Unit{}
			for range l.Kinds {
				u.Free = append(u.Free, d.roll(3))
			}
			n.Units = append(n.Units, u)
		}
	}
	return n
}

func drawGang(d dice, sim *simulation) {
	g := &sim.gang
	g.Name = "t/gang"
	g.RDMA = often(d, 2)
	g.Required, g.Preferred = drawLevel(d, sim, 3), drawLevel(d, sim, 3)
	drawGroups(d, sim)
	left := maxMembers
	for i := range 1 + d.roll(3) {
		if left == 0 {
			break
		}
		r := drawRole(d, sim, i, &left)
		if len(g.Groups) > 0 && often(d, 8) {
			r.Group = g.Groups[d.roll(len(g.Groups))].Name
		}
		g.Roles = append(g.Roles, r)
	}
	drawMinimums(d, g)
	drawSupply(d, sim)
	if often(d, 4) {
		drawAntiAffinity(d, sim)
	}
	if often(d, 2) {
		drawSpread(d, sim)
	}
	if often(d, 2) {
		drawAffinity(d, sim)
	}
	if often(d, 2) {
		drawConflicts(d, sim)
	}
}

// drawLevel returns a level in p of ten cases, sometimes the node level.
func drawLevel(d dice, sim *simulation, p int) string {
	if !often(d, p) {
		return ""
	}
	if i := d.roll(len(sim.layout.Levels) + 1); i < len(sim.layout.Levels) {
		return sim.layout.Levels[i].Name
	}
	if often(d, 3) {
		return plan.NodeLevel
	}
	return ""
}

func drawGroups(d dice, sim *simulation) {
	if !often(d, 3) {
		return
	}
	for i := range 1 + d.roll(3) {
		p := plan.Group{Name: fmt.Sprintf("g%d", i), Required: drawLevel(d, sim, 3), Preferred: drawLevel(d, sim, 2)}
		if i > 0 && often(d, 4) {
			p.Parent = fmt.Sprintf("g%d", d.roll(i))
		}
		sim.gang.Groups = append(sim.gang.Groups, p)
	}
}

func drawRole(d dice, sim *simulation, i int, left *int) plan.Role {
	r := plan.Role{
		Name: fmt.Sprintf("r%d", i), RDMA: often(d, 2),
		Required: drawLevel(d, sim, 2), Preferred: drawLevel(d, sim, 2),
	}
	for k := range 1 + d.roll(*left) {
		m := plan.Member{Name: fmt.Sprintf("m%d", k)}
		if d.roll(8) == 0 {
			m.Node = sim.nodes[d.roll(len(sim.nodes))].Name
		}
		r.Members = append(r.Members, m)
		*left--
	}
	r.Need = drawNeed(d, &sim.layout)
	if often(d, 3) {
		r.Slice = plan.Slice{Size: 2 + d.roll(2), Required: drawLevel(d, sim, 5), Preferred: drawLevel(d, sim, 4), Spread: drawLevel(d, sim, 3)}
	}
	if often(d, 2) {
		r.Nodes = []string{"elsewhere"}
		for _, n := range sim.nodes {
			if often(d, 6) {
				r.Nodes = append(r.Nodes, n.Name)
			}
		}
	}
	if often(d, 1) {
		r.Limit = map[string]int{sim.nodes[d.roll(len(sim.nodes))].Name: d.roll(3)}
	}
	return r
}

func drawNeed(d dice, l *plan.Layout) plan.Need {
	n := plan.Need{Resources: []int64{1, int64(d.roll(3))}}
	if often(d, 1) {
		n.PerNode = 1 + d.roll(2)
	}
	if len(l.Kinds) == 0 || often(d, 3) {
		return n
	}
	for range 1 + d.roll(2) {
		kinds := []int{d.roll(len(l.Kinds))}
		if other := d.roll(len(l.Kinds)); often(d, 3) && other != kinds[0] {
			kinds = append(kinds, other)
		}
		n.Devices = append(n.Devices, plan.DeviceNeed{Kinds: kinds, Count: 1 + d.roll(2)})
	}
	n.Aligned = often(d, 2)
	return n
}

// drawMinimums sometimes sets minimums below the number of members.
func drawMinimums(d dice, g *plan.Gang) {
	members := map[string]int{}
	total := 0
	for i := range g.Roles {
		r := &g.Roles[i]
		if often(d, 3) {
			r.Min = d.roll(len(r.Members) + 1)
		}
		members[r.Group] += len(r.Members)
		total += len(r.Members)
	}
	if often(d, 4) {
		g.Min = d.roll(total + 1)
	}
	children := map[string]int{}
	for _, p := range g.Groups {
		children[p.Parent]++
	}
	for i := range g.Groups {
		p := &g.Groups[i]
		if often(d, 3) {
			p.Min = d.roll(members[p.Name] + 1)
		}
		if often(d, 3) {
			p.MinGroups = d.roll(children[p.Name] + 1)
		}
	}
	if often(d, 3) {
		g.MinGroups = d.roll(children[""] + 1)
	}
}
