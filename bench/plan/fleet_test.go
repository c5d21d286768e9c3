// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// fleet describes a fabric of equal nodes: 8 GPUs and 8 NICs in pairs.
type fleet struct {
	nodes, levels int
	// full means that only one of 20 nodes has free devices.
	full bool
}

func (f fleet) String() string {
	fill := "empty"
	if f.full {
		fill = "95%"
	}
	return fmt.Sprintf("nodes=%d/levels=%d/fill=%s", f.nodes, f.levels, fill)
}

// perDomain is the number of nodes in a domain, from the finest level up: racks of
// 20, leaves of 100, spines of 500, zones of 2500.
var perDomain = []int{20, 100, 500, 2500}

// levelNames are the names of these levels, from the finest up.
var levelNames = []string{"rack", "leaf", "spine", "zone"}

const (
	gpu = iota
	nic
)

func (f fleet) layout() plan.Layout {
	l := plan.Layout{Resources: []string{"cpu", "memory", "pods"}, Kinds: []string{"gpu", "nic"}}
	for i := f.levels - 1; i >= 0; i-- {
		l.Levels = append(l.Levels, plan.Level{Name: levelNames[i]})
	}
	return l
}

// units are the free or the allocated devices of a node, by whether they are free. All
// nodes share them, so the garbage collector scans the planner's memory and not the
// benchmark's.
var units = map[bool][]plan.Unit{true: eight(1), false: eight(0)}

func eight(free int) []plan.Unit {
	u := plan.Unit{Free: []int{free, free}}
	return []plan.Unit{u, u, u, u, u, u, u, u}
}

var free = []int64{96000, 1900 << 30, 110}

func (f fleet) node(i int) plan.NodeSpec {
	return plan.NodeSpec{
		Name: fmt.Sprintf("node-%06d", i), Domains: f.domains(i), Free: free,
		Units: units[!f.full || i%20 == 7],
	}
}

func (f fleet) domains(i int) []string {
	var out []string
	for k := f.levels - 1; k >= 0; k-- {
		out = append(out, fmt.Sprintf("%s-%05d", levelNames[k], i/perDomain[k]))
	}
	return out
}

// capacity returns the number of pairs of free devices in the fleet.
func (f fleet) capacity() int {
	if f.full {
		return f.nodes / 20 * 8
	}
	return f.nodes * 8
}

func (f fleet) specs() []plan.NodeSpec {
	out := make([]plan.NodeSpec, f.nodes)
	for i := range out {
		out[i] = f.node(i)
		if i%perDomain[0] > 0 {
			out[i].Domains = out[i-1].Domains
		}
	}
	return out
}

func build(tb testing.TB, l plan.Layout, specs []plan.NodeSpec) *plan.State {
	st, err := plan.NewState(l)
	if err != nil {
		tb.Fatal(err)
	}
	st.Reserve(len(specs))
	for i := range specs {
		if err := st.Upsert(specs[i]); err != nil {
			tb.Fatal(err)
		}
	}
	return st
}

// pairNeed returns the need of n GPUs and n NICs with some CPU and memory.
func pairNeed(n int) plan.Need {
	return plan.Need{
		Resources: []int64{int64(4000 * n), int64(n) << 35, 1},
		Devices:   []plan.DeviceNeed{{Kinds: []int{gpu}, Count: n}, {Kinds: []int{nic}, Count: n}},
	}
}

func role(name string, members int, need plan.Need) plan.Role {
	r := plan.Role{Name: name, Need: need}
	for i := range members {
		r.Members = append(r.Members, plan.Member{Name: fmt.Sprintf("%s-%05d", name, i)})
	}
	return r
}

// gangOf returns a gang. With one role, each member has a GPU and a NIC. With four roles
// there is a head without devices, and workers with one, two and four pairs.
func gangOf(members, roles int) plan.Gang {
	g := plan.Gang{Name: "bench/gang"}
	if roles == 1 {
		g.Roles = []plan.Role{role("worker", members, pairNeed(1))}
		return g
	}
	head := plan.Need{Resources: []int64{2000, 8 << 30, 1}}
	g.Roles = []plan.Role{
		role("head", 1, head),
		role("four", members/8, pairNeed(4)),
		role("two", members/4, pairNeed(2)),
	}
	g.Roles = append(g.Roles, role("one", members-1-members/8-members/4, pairNeed(1)))
	return g
}
