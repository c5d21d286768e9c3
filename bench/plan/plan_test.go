// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

var (
	nodeCounts = []int{500, 5000, 50000, 100000}
	gangSizes  = []int{8, 64, 1000, 10000}
)

// plannable is one request on one fabric.
type plannable struct {
	fleet
	gang, roles int
	// blocked makes the request infeasible: every worker requires all devices of a node,
	// and all workers must share one rack, or one node if a rack would have room for them.
	blocked bool
}

func (p plannable) String() string {
	s := fmt.Sprintf("%s/gang=%d/roles=%d", p.fleet, p.gang, p.roles)
	if p.blocked {
		return s + "/infeasible"
	}
	return s + "/feasible"
}

func (p plannable) request() plan.Gang {
	g := gangOf(p.gang, p.roles)
	if !p.blocked {
		return g
	}
	g.Required = levelNames[0]
	if p.gang <= perDomain[0] {
		g.Required = plan.NodeLevel
	}
	for i := range g.Roles {
		if g.Roles[i].Name != "head" {
			g.Roles[i].Need = pairNeed(8)
		}
	}
	return g
}

// feasible reports whether the devices of the fabric suffice, by arithmetic.
func (p plannable) feasible() bool {
	need := p.gang
	if p.roles > 1 {
		need = p.gang - 1 - p.gang/8 - p.gang/4 + 2*(p.gang/4) + 4*(p.gang/8)
	}
	return !p.blocked && need <= p.capacity()
}

// BenchmarkWarm plans repeatedly on a snapshot with cached counts, like a scheduler between
// two changes of the cluster.
func BenchmarkWarm(b *testing.B) {
	for _, nodes := range nodeCounts {
		for levels := 1; levels <= 4; levels++ {
			for _, full := range []bool{false, true} {
				f := fleet{nodes, levels, full}
				b.Run(f.String(), func(b *testing.B) { warmFleet(b, f) })
			}
		}
	}
}

func warmFleet(b *testing.B, f fleet) {
	s := build(b, f.layout(), f.specs()).Freeze()
	for _, size := range gangSizes {
		for _, roles := range []int{1, 4} {
			for _, blocked := range []bool{false, true} {
				p := plannable{f, size, roles, blocked}
				if !blocked && !p.feasible() {
					continue // blocked covers infeasible gangs
				}
				b.Run(p.String()[len(f.String())+1:], func(b *testing.B) { warm(b, p, s) })
			}
		}
	}
}

func warm(b *testing.B, p plannable, s *plan.Snapshot) {
	g := p.request()
	d := plan.Plan(s, g, accept, plan.Options{})
	p.mustBe(b, d)
	b.ReportAllocs()
	for b.Loop() {
		d = plan.Plan(s, g, accept, plan.Options{})
	}
	report(b, d)
}

// BenchmarkCold builds the state, freezes it and plans, like a scheduler after its start.
func BenchmarkCold(b *testing.B) {
	for _, nodes := range nodeCounts {
		p := plannable{fleet: fleet{nodes, 3, false}, gang: 64, roles: 1}
		b.Run(p.String(), func(b *testing.B) {
			l, specs, g := p.layout(), p.specs(), p.request()
			var d plan.Decision
			b.ReportAllocs()
			for b.Loop() {
				d = plan.Plan(build(b, l, specs).Freeze(), g, accept, plan.Options{})
			}
			p.mustBe(b, d)
			report(b, d)
		})
	}
}

// BenchmarkReplan plans after one node has changed.
func BenchmarkReplan(b *testing.B) {
	for _, nodes := range nodeCounts {
		for _, size := range []int{8, 64, 1000} {
			p := plannable{fleet: fleet{nodes, 3, false}, gang: size, roles: 1}
			if !p.feasible() {
				continue
			}
			b.Run(p.String(), func(b *testing.B) {
				r := newReplanner(b, p)
				var d plan.Decision
				b.ReportAllocs()
				for b.Loop() {
					d = r.step(b)
				}
				p.mustBe(b, d)
				report(b, d)
			})
		}
	}
}

// replanner toggles the devices of one node between plans.
type replanner struct {
	st    *plan.State
	g     plan.Gang
	nodes [2]plan.NodeSpec
	steps int
}

func newReplanner(tb testing.TB, p plannable) *replanner {
	r := &replanner{st: build(tb, p.layout(), p.specs()), g: p.request()}
	r.nodes[0], r.nodes[1] = p.node(p.nodes/2), p.node(p.nodes/2)
	r.nodes[1].Units = nil
	r.step(tb)
	return r
}

func (r *replanner) step(tb testing.TB) plan.Decision {
	r.steps++
	if err := r.st.Upsert(r.nodes[r.steps%2]); err != nil {
		tb.Fatal(err)
	}
	return plan.Plan(r.st.Freeze(), r.g, accept, plan.Options{})
}

func accept(int, string, int) bool { return true }

// mustBe fails unless the outcome is the one that arithmetic expects.
func (p plannable) mustBe(tb testing.TB, d plan.Decision) {
	tb.Helper()
	if d.Placed != p.feasible() || d.Exhausted {
		tb.Fatalf("%s: placed is %v: %s", p, d.Placed, d.Why())
	}
	if d.Placed && len(d.Assignments) != d.Wanted {
		tb.Fatalf("%s: %d of %d members placed", p, len(d.Assignments), d.Wanted)
	}
}

// report prints the work of one plan and the quality of the placement.
func report(b *testing.B, d plan.Decision) {
	b.ReportMetric(float64(d.Stats.FitsCalls), "fits/op")
	b.ReportMetric(float64(d.Stats.NodesTouched), "nodes/op")
	b.ReportMetric(float64(d.Stats.DomainsTried), "domains/op")
	for _, t := range d.Cost {
		if t.Name == "domains rack" {
			b.ReportMetric(float64(t.Value+1), "racks/op")
		}
	}
}
