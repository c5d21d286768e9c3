// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// BenchmarkRules plans a gang of 500 on 5,000 nodes whose members ask something of one
// another, on a snapshot with cached counts.
func BenchmarkRules(b *testing.B) {
	f := fleet{nodes: 5000, levels: 3}
	s := build(b, f.layout(), f.specs()).Freeze()
	for _, c := range []struct {
		name string
		add  func(g *plan.Gang)
	}{
		{"none", func(*plan.Gang) {}},
		{"host-port", hostPort},
		{"host-port-and-anti-affinity", func(g *plan.Gang) {
			hostPort(g)
			g.AntiAffinity = append(g.AntiAffinity, plan.AntiAffinity{Level: plan.NodeLevel, Roles: []string{"head"}, Others: []string{"worker"}})
		}},
		{"rack-anti-affinity-of-the-head", func(g *plan.Gang) {
			g.AntiAffinity = append(g.AntiAffinity, plan.AntiAffinity{Level: levelNames[0], Roles: []string{"head"}, Others: []string{"worker"}})
		}},
		{"attach-limit", func(g *plan.Gang) { g.NodeLimits = []plan.NodeLimit{attachments(f)} }},
		{"spread-over-racks", func(g *plan.Gang) {
			g.Spread = []plan.Spread{{Level: levelNames[0], Roles: []string{"worker"}, Counted: []string{"worker"}, MaxSkew: 1}}
		}},
		{"workers-in-the-spine-of-the-head", func(g *plan.Gang) {
			g.Affinity = []plan.Affinity{{Levels: []string{levelNames[2]}, Roles: []string{"worker"}, Matching: []string{"head"}}}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := plan.Gang{Name: "gang", Roles: []plan.Role{role("head", 1, pairNeed(1)), role("worker", 499, pairNeed(1))}}
			c.add(&g)
			d := plan.Plan(s, g, accept, plan.Options{})
			if !d.Placed || len(d.Assignments) != 500 {
				b.Fatalf("%d of 500 members placed: %s", len(d.Assignments), d.Why())
			}
			b.ReportAllocs()
			for b.Loop() {
				d = plan.Plan(s, g, accept, plan.Options{})
			}
			report(b, d)
		})
	}
}

// hostPort gives all members the same host port.
func hostPort(g *plan.Gang) {
	all := []string{"head", "worker"}
	g.AntiAffinity = []plan.AntiAffinity{{Level: plan.NodeLevel, Roles: all, Others: all}}
	for i := range g.Roles {
		g.Roles[i].Need.PerNode = 1
	}
}

// attachments lets each node attach two volumes, of which each member needs one.
func attachments(f fleet) plan.NodeLimit {
	limit := plan.NodeLimit{Name: "volumes", Free: map[string]int{}, Users: []plan.LimitUser{{Role: "head", Own: 1}, {Role: "worker", Own: 1}}}
	for i := range f.nodes {
		limit.Free[f.node(i).Name] = 2
	}
	return limit
}
