// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// simplify makes the nodes alike, and removes what else limits the members, so that the
// rules between members decide.
func simplify(d dice, sim *simulation) {
	for i := range sim.nodes {
		sim.nodes[i].Free, sim.nodes[i].Units, sim.nodes[i].Unschedulable = []int64{4, 8}, sim.nodes[0].Units, false
	}
	for i := range sim.caps {
		clear(sim.caps[i])
	}
	g := &sim.gang
	g.RDMA, g.Required = false, ""
	for i := range g.Groups {
		g.Groups[i].Required = ""
	}
	for i := range g.Roles {
		r := &g.Roles[i]
		r.Required, r.RDMA, r.Nodes, r.Limit, r.Slice.Required, r.Slice.Spread = "", false, nil, nil, "", ""
		if often(d, 5) {
			r.Need.Devices = nil
		}
	}
}

// drawAntiAffinity keeps roles apart.
func drawAntiAffinity(d dice, sim *simulation) {
	for range 1 + d.roll(2) {
		rule := plan.AntiAffinity{Level: drawRuleLevel(d, sim)}
		rule.Roles, rule.Others = drawRoles(d, sim, 6), drawRoles(d, sim, 6)
		sim.gang.AntiAffinity = append(sim.gang.AntiAffinity, rule)
	}
}

// drawSpread spreads roles. Most constraints of real pods count the pods that have them.
func drawSpread(d dice, sim *simulation) {
	for range 1 + d.roll(2) {
		rule := plan.Spread{Level: drawRuleLevel(d, sim), MaxSkew: 1 + d.roll(2), Existing: map[string]int{}}
		if often(d, 3) {
			rule.MinDomains = d.roll(5)
		}
		rule.Roles = drawRoles(d, sim, 7)
		rule.Counted = rule.Roles
		if often(d, 4) {
			rule.Counted = drawRoles(d, sim, 6)
		}
		for _, n := range sim.nodes {
			if often(d, 3) {
				rule.Existing[n.Name] = d.roll(4)
			}
		}
		sim.gang.Spread = append(sim.gang.Spread, rule)
	}
}

// drawAffinity keeps roles near others, or near pods that exist.
func drawAffinity(d dice, sim *simulation) {
	for range 1 + d.roll(2) {
		rule := plan.Affinity{Levels: []string{drawRuleLevel(d, sim)}}
		if often(d, 3) {
			rule.Levels = append(rule.Levels, drawRuleLevel(d, sim))
		}
		rule.Roles, rule.Matching = drawRoles(d, sim, 5), drawRoles(d, sim, 6)
		for _, n := range sim.nodes {
			if d.roll(12) == 0 {
				rule.Existing = append(rule.Existing, n.Name)
			}
		}
		sim.gang.Affinity = append(sim.gang.Affinity, rule)
	}
}

// drawConflicts adds combinations of members that the filters have refused.
func drawConflicts(d dice, sim *simulation) {
	for range 1 + d.roll(6) {
		conflict := plan.Conflict{}
		for range 1 + d.roll(3) {
			conflict.Terms = append(conflict.Terms, plan.ConflictTerm{
				Role: sim.gang.Roles[d.roll(len(sim.gang.Roles))].Name, Node: sim.nodes[d.roll(len(sim.nodes))].Name, Count: 1 + d.roll(2),
			})
		}
		sim.gang.Conflicts = append(sim.gang.Conflicts, conflict)
	}
}

// drawRoles names each role in p of ten cases.
func drawRoles(d dice, sim *simulation, p int) []string {
	var out []string
	for i := range sim.gang.Roles {
		if often(d, p) {
			out = append(out, sim.gang.Roles[i].Name)
		}
	}
	return out
}

// drawRuleLevel returns a level, a partition or the node level.
func drawRuleLevel(d dice, sim *simulation) string {
	if often(d, 5) {
		return drawPartition(d, sim)
	}
	if level := drawLevel(d, sim, 10); level != "" {
		return level
	}
	return plan.NodeLevel
}

// drawPartition returns one of two partitions. Some nodes are in no domain.
func drawPartition(d dice, sim *simulation) string {
	g := &sim.gang
	name := fmt.Sprintf("partition%d", d.roll(2))
	for _, p := range g.Partitions {
		if p.Name == name {
			return name
		}
	}
	p := plan.Partition{Name: name, Domains: map[string]string{}}
	for _, n := range sim.nodes {
		if d.roll(8) > 0 {
			p.Domains[n.Name] = string(rune('x' + d.roll(3)))
		}
	}
	g.Partitions = append(g.Partitions, p)
	return name
}
