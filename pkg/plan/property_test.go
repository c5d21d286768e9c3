// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// TestOrderOfInput permutes nodes, roles, groups and members. The output must not change,
// except for the statistics of work that caches save.
func TestOrderOfInput(t *testing.T) {
	for i := range 3000 {
		sim := draw(seeded(*seed+1, uint64(i)))
		rng := rand.New(rand.NewPCG(*seed, uint64(i)))
		want := plan.Plan(sim.snapshot(), sim.gang, sim.fits, plan.Options{})
		p := sim.permuted(rng)
		got := plan.Plan(p.snapshot(), p.gang, p.fits, plan.Options{})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("simulation %d: (-want,+got)\n%s\n%s", i, diff, sim)
		}
		if want.Why() != got.Why() {
			t.Fatalf("simulation %d: %q and %q", i, want.Why(), got.Why())
		}
	}
}

// permuted returns the same simulation with all lists in another order.
func (sim *simulation) permuted(rng *rand.Rand) *simulation {
	p := &simulation{layout: sim.layout, nodes: slices.Clone(sim.nodes), gang: sim.gang}
	rng.Shuffle(len(p.nodes), func(a, b int) { p.nodes[a], p.nodes[b] = p.nodes[b], p.nodes[a] })
	p.gang.Groups = slices.Clone(sim.gang.Groups)
	rng.Shuffle(len(p.gang.Groups), func(a, b int) {
		p.gang.Groups[a], p.gang.Groups[b] = p.gang.Groups[b], p.gang.Groups[a]
	})
	p.gang.Roles = nil
	for _, i := range rng.Perm(len(sim.gang.Roles)) {
		r := sim.gang.Roles[i]
		r.Members = slices.Clone(r.Members)
		rng.Shuffle(len(r.Members), func(a, b int) { r.Members[a], r.Members[b] = r.Members[b], r.Members[a] })
		p.gang.Roles = append(p.gang.Roles, r)
		p.caps = append(p.caps, sim.caps[i])
	}
	return p
}

// ignoreWork ignores the number of recounted nodes. It depends on earlier plans.
var ignoreWork = cmpopts.IgnoreFields(plan.Stats{}, "NodesTouched")

// TestIncremental changes a fabric at random. It compares plans on it, and on old
// snapshots, with plans on a fabric built from the same nodes.
func TestIncremental(t *testing.T) {
	for i := range 300 {
		d := seeded(*seed+2, uint64(i))
		sim := draw(d)
		st, err := plan.NewState(sim.layout)
		if err != nil {
			t.Fatal(err)
		}
		var old *plan.Snapshot
		var oldSim *simulation
		for step := range 12 {
			sim.change(d, st)
			s := st.Freeze()
			sim.check(t, fmt.Sprintf("simulation %d step %d", i, step), s)
			if old != nil {
				oldSim.check(t, fmt.Sprintf("simulation %d before step %d", i, step), old)
			}
			if often(d, 5) {
				old = s
				oldSim = &simulation{layout: sim.layout, nodes: slices.Clone(sim.nodes), gang: sim.gang, caps: sim.caps}
			}
		}
	}
}

// change adds, removes and updates a few nodes in the simulation and the state.
func (sim *simulation) change(d dice, st *plan.State) {
	for i := range sim.nodes {
		switch {
		case often(d, 3):
			name := sim.nodes[i].Name
			sim.nodes[i] = drawNode(d, &sim.layout, 0)
			sim.nodes[i].Name = name
		case often(d, 3):
			sim.nodes[i].Free = []int64{int64(d.roll(5)), int64(d.roll(8))}
		}
	}
	if often(d, 3) && len(sim.nodes) > 1 {
		st.Remove(sim.nodes[0].Name)
		sim.nodes = sim.nodes[1:]
	}
	if often(d, 3) && len(sim.nodes) < 7 {
		n := drawNode(d, &sim.layout, 0)
		n.Name = fmt.Sprintf("x%d", d.roll(1000))
		sim.nodes = append(sim.nodes, n)
	}
	for _, n := range sim.nodes {
		if err := st.Upsert(n); err != nil {
			panic(err)
		}
	}
}

func (sim *simulation) check(t *testing.T, what string, s *plan.Snapshot) {
	t.Helper()
	want := plan.Plan(sim.snapshot(), sim.gang, sim.fits, plan.Options{})
	got := plan.Plan(s, sim.gang, sim.fits, plan.Options{})
	if diff := cmp.Diff(want, got, ignoreWork); diff != "" {
		t.Fatalf("%s: (-want,+got)\n%s\n%s", what, diff, sim)
	}
	for i := range sim.gang.Roles {
		need := sim.gang.Roles[i].Need
		for _, n := range sim.nodes {
			if a, b := plan.Score(sim.snapshot(), need, n.Name), plan.Score(s, need, n.Name); a != b {
				t.Fatalf("%s: score of %s is %d, afresh %d", what, n.Name, b, a)
			}
		}
	}
}

// TestConcurrentPlans runs plans on one snapshot while the state changes; run it with
// -race. All plans must give the same answer.
func TestConcurrentPlans(t *testing.T) {
	sim := draw(seeded(*seed+3, 1))
	st, err := plan.NewState(sim.layout)
	if err != nil {
		t.Fatal(err)
	}
	d := seeded(*seed+3, 2)
	for range 30 {
		sim.change(d, st)
		s := st.Freeze()
		frozen := &simulation{layout: sim.layout, nodes: slices.Clone(sim.nodes), gang: sim.gang, caps: sim.caps}
		want := plan.Plan(frozen.snapshot(), sim.gang, sim.fits, plan.Options{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				got := plan.Plan(s, frozen.gang, frozen.fits, plan.Options{})
				if diff := cmp.Diff(want, got, ignoreWork); diff != "" {
					t.Errorf("(-want,+got)\n%s", diff)
				}
				plan.Score(s, frozen.gang.Roles[0].Need, frozen.nodes[0].Name)
			})
		}
		sim.change(d, st)
		wg.Wait()
	}
}

// TestGrow adds kinds and resources to a state in use.
func TestGrow(t *testing.T) {
	st, err := plan.NewState(plan.Layout{Resources: []string{"cpu"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Upsert(plan.NodeSpec{Name: "a", Free: []int64{4}}); err != nil {
		t.Fatal(err)
	}
	before := st.Freeze()
	if err := st.Grow(plan.Layout{Resources: []string{"cpu", "pods"}, Kinds: []string{"gpu"}}); err != nil {
		t.Fatal(err)
	}
	if err := st.Upsert(plan.NodeSpec{Name: "b", Free: []int64{4, 1}, Units: []plan.Unit{{Free: []int{1}}}}); err != nil {
		t.Fatal(err)
	}
	g := plan.Gang{Name: "g", Roles: []plan.Role{{
		Name: "r", Members: []plan.Member{{Name: "m"}},
		Need: plan.Need{Resources: []int64{1, 1}, Devices: []plan.DeviceNeed{{Kinds: []int{0}, Count: 1}}},
	}}}
	if d := plan.Plan(st.Freeze(), g, nil, plan.Options{}); !d.Placed || d.Assignments[0].Node != "b" {
		t.Errorf("after growing: %s", d.Why())
	}
	if d := plan.Plan(before, g, nil, plan.Options{}); d.Placed || d.Reasons[0].Kind != plan.BadRequest {
		t.Errorf("before growing: %s", d.Why())
	}
	if err := st.Grow(plan.Layout{Resources: []string{"pods"}}); err == nil {
		t.Error("a layout that drops a resource was accepted")
	}
}

// FuzzPlan compares the planner with the reference on simulations built from the fuzzer's
// bytes.
func FuzzPlan(f *testing.F) {
	addSeeds(f, *seed, 200)
	f.Fuzz(func(t *testing.T, data []byte) {
		sim := draw(&byteDice{data})
		if _, err := compare(sim); err != nil {
			t.Fatalf("%v\n%s", err, sim)
		}
	})
}

// TestScore checks the preferences of a single pod's score.
func TestScore(t *testing.T) {
	st, err := plan.NewState(plan.Layout{
		Levels: []plan.Level{{Name: "leaf"}}, Resources: []string{"pods"}, Kinds: []string{"gpu", "nic"},
	})
	if err != nil {
		t.Fatal(err)
	}
	pair, gpuOnly, nicOnly := plan.Unit{Free: []int{1, 1}}, plan.Unit{Free: []int{1, 0}}, plan.Unit{Free: []int{0, 1}}
	nodes := map[string]plan.NodeSpec{
		"free in a free leaf":  {Domains: []string{"l1"}, Units: []plan.Unit{pair, pair}},
		"other in that leaf":   {Domains: []string{"l1"}, Units: []plan.Unit{pair, pair}},
		"third in that leaf":   {Domains: []string{"l1"}, Units: []plan.Unit{pair, pair}},
		"free in a used leaf":  {Domains: []string{"l2"}, Units: []plan.Unit{pair, pair}},
		"used in a used leaf":  {Domains: []string{"l2"}, Units: []plan.Unit{pair}},
		"its pairs are broken": {Domains: []string{"l2"}, Units: []plan.Unit{gpuOnly, nicOnly}},
		"full":                 {Domains: []string{"l2"}},
	}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		n := nodes[name]
		n.Name, n.Free = name, []int64{10}
		if err := st.Upsert(n); err != nil {
			t.Fatal(err)
		}
	}
	need := plan.Need{Resources: []int64{1}, Devices: []plan.DeviceNeed{{Kinds: []int{0}, Count: 1}, {Kinds: []int{1}, Count: 1}}}
	s := st.Freeze()
	got := map[string]int64{}
	for name := range nodes {
		got[name] = plan.Score(s, need, name)
	}
	order := []string{"used in a used leaf", "free in a used leaf", "free in a free leaf"}
	for i, name := range order[1:] {
		if got[order[i]] <= got[name] {
			t.Errorf("%q scores %d, not above %q with %d", order[i], got[order[i]], name, got[name])
		}
	}
	if a, b := got["its pairs are broken"], got["used in a used leaf"]; a >= b {
		t.Errorf("broken pairs score %d, whole ones %d", a, b)
	}
	if got["full"] != plan.NoFit || plan.Score(s, need, "unknown") != plan.NoFit {
		t.Errorf("full scores %d, unknown %d", got["full"], plan.Score(s, need, "unknown"))
	}
	if n := testing.AllocsPerRun(100, func() { plan.Score(s, need, "its pairs are broken") }); n != 0 {
		t.Errorf("Score allocates %v times", n)
	}
}

// TestNever draws clusters whose nodes are partly used. If the planner answers that a gang
// can never fit, the gang must not fit the empty nodes either, whatever filters accept. An
// amount that a change asks for on one node must be one that the node has.
func TestNever(t *testing.T) {
	never := 0
	for i := range 10000 {
		d := seeded(*seed+7, uint64(i))
		empty := draw(d)
		busy := *empty
		busy.nodes = nil
		for _, n := range empty.nodes {
			n.Free = slices.Clone(n.Free)
			for r := range n.Free {
				n.Free[r] = int64(d.roll(int(n.Free[r]) + 1))
			}
			if often(d, 3) {
				n.Units = nil
			}
			busy.nodes = append(busy.nodes, n)
		}
		decision := plan.Plan(busy.snapshot(), busy.gang, busy.fits, plan.Options{Capacity: empty.capacity})
		for _, reason := range decision.Reasons {
			if reason.Never != nil {
				never++
				empty.mustRefuse(t, i, &decision)
			}
			for _, change := range reason.Changes {
				if at := slices.Index(empty.layout.Resources, change.What); at >= 0 && change.Count > empty.most(change.Where, at) {
					t.Fatalf("simulation %d: %s: the node has %d\n%s", i, decision.Why(), empty.most(change.Where, at), empty)
				}
			}
		}
	}
	if never < 100 {
		t.Errorf("only %d of the gangs can never fit", never)
	}
	t.Logf("%d answers that a gang can never fit", never)
}

func (sim *simulation) mustRefuse(t *testing.T, i int, decision *plan.Decision) {
	t.Helper()
	empty := *sim
	empty.nodes = slices.Clone(sim.nodes)
	for n := range empty.nodes {
		empty.nodes[n].Unschedulable = false
	}
	if found := plan.Plan(empty.snapshot(), sim.gang, nil, plan.Options{}); found.Placed {
		t.Fatalf("simulation %d: %s; but empty nodes hold it: %v\n%s", i, decision.Why(), found.Assignments, sim)
	}
}

// most returns the amount of a resource that a node has.
func (sim *simulation) most(node string, resource int) int64 {
	i := slices.IndexFunc(sim.nodes, func(n plan.NodeSpec) bool { return n.Name == node })
	return sim.nodes[i].Free[resource]
}

// capacity is a plan.Options.Capacity with the free amounts of the simulation's nodes.
func (sim *simulation) capacity(node string, into *plan.Capacity) bool {
	i := slices.IndexFunc(sim.nodes, func(n plan.NodeSpec) bool { return n.Name == node })
	into.Resources = append(into.Resources, sim.nodes[i].Free...)
	into.Kinds = append(into.Kinds, make([]int64, len(sim.layout.Kinds))...)
	for _, unit := range sim.nodes[i].Units {
		for k, n := range unit.Free {
			into.Kinds[k] += int64(n)
		}
	}
	return true
}
