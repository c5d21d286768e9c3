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

// TestOrderOfInput permutes nodes, roles, groups and members: the output must
// not change in anything but the work that caches save.
func TestOrderOfInput(t *testing.T) {
	for i := range 3000 {
		w := draw(seeded(*seed+1, uint64(i)))
		rng := rand.New(rand.NewPCG(*seed, uint64(i)))
		want := plan.Plan(w.snapshot(), w.gang, w.fits, plan.Options{})
		p := w.permuted(rng)
		got := plan.Plan(p.snapshot(), p.gang, p.fits, plan.Options{})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("world %d: (-want,+got)\n%s\n%s", i, diff, w)
		}
		if want.Why() != got.Why() {
			t.Fatalf("world %d: %q and %q", i, want.Why(), got.Why())
		}
	}
}

// permuted is the same world with everything in another order.
func (w *world) permuted(rng *rand.Rand) *world {
	p := &world{layout: w.layout, nodes: slices.Clone(w.nodes), gang: w.gang}
	rng.Shuffle(len(p.nodes), func(a, b int) { p.nodes[a], p.nodes[b] = p.nodes[b], p.nodes[a] })
	p.gang.Groups = slices.Clone(w.gang.Groups)
	rng.Shuffle(len(p.gang.Groups), func(a, b int) {
		p.gang.Groups[a], p.gang.Groups[b] = p.gang.Groups[b], p.gang.Groups[a]
	})
	p.gang.Roles = nil
	for _, i := range rng.Perm(len(w.gang.Roles)) {
		r := w.gang.Roles[i]
		r.Members = slices.Clone(r.Members)
		rng.Shuffle(len(r.Members), func(a, b int) { r.Members[a], r.Members[b] = r.Members[b], r.Members[a] })
		p.gang.Roles = append(p.gang.Roles, r)
		p.caps = append(p.caps, w.caps[i])
	}
	return p
}

// ignoreWork leaves out how much was counted anew, which depends on what the
// plans before had counted.
var ignoreWork = cmpopts.IgnoreFields(plan.Stats{}, "NodesTouched")

// TestIncremental changes a fabric at random and compares plans on it with plans
// on one built afresh, old snapshots included.
func TestIncremental(t *testing.T) {
	for i := range 300 {
		d := seeded(*seed+2, uint64(i))
		w := draw(d)
		st, err := plan.NewState(w.layout)
		if err != nil {
			t.Fatal(err)
		}
		var old *plan.Snapshot
		var oldWorld *world
		for step := range 12 {
			w.change(d, st)
			s := st.Freeze()
			w.check(t, fmt.Sprintf("world %d step %d", i, step), s)
			if old != nil {
				oldWorld.check(t, fmt.Sprintf("world %d before step %d", i, step), old)
			}
			if often(d, 5) {
				old = s
				oldWorld = &world{layout: w.layout, nodes: slices.Clone(w.nodes), gang: w.gang, caps: w.caps}
			}
		}
	}
}

// change adds, removes and updates a few nodes in the world and the state.
func (w *world) change(d dice, st *plan.State) {
	for i := range w.nodes {
		switch {
		case often(d, 3):
			name := w.nodes[i].Name
			w.nodes[i] = drawNode(d, &w.layout, 0)
			w.nodes[i].Name = name
		case often(d, 3):
			w.nodes[i].Free = []int64{int64(d.roll(5)), int64(d.roll(8))}
		}
	}
	if often(d, 3) && len(w.nodes) > 1 {
		st.Remove(w.nodes[0].Name)
		w.nodes = w.nodes[1:]
	}
	if often(d, 3) && len(w.nodes) < 7 {
		n := drawNode(d, &w.layout, 0)
		n.Name = fmt.Sprintf("x%d", d.roll(1000))
		w.nodes = append(w.nodes, n)
	}
	for _, n := range w.nodes {
		if err := st.Upsert(n); err != nil {
			panic(err)
		}
	}
}

func (w *world) check(t *testing.T, what string, s *plan.Snapshot) {
	t.Helper()
	want := plan.Plan(w.snapshot(), w.gang, w.fits, plan.Options{})
	got := plan.Plan(s, w.gang, w.fits, plan.Options{})
	if diff := cmp.Diff(want, got, ignoreWork); diff != "" {
		t.Fatalf("%s: (-want,+got)\n%s\n%s", what, diff, w)
	}
	for i := range w.gang.Roles {
		need := w.gang.Roles[i].Need
		for _, n := range w.nodes {
			if a, b := plan.Score(w.snapshot(), need, n.Name), plan.Score(s, need, n.Name); a != b {
				t.Fatalf("%s: score of %s is %d, afresh %d", what, n.Name, b, a)
			}
		}
	}
}

// TestConcurrentPlans runs plans on one snapshot while the state goes on: run
// it with -race. All must answer alike.
func TestConcurrentPlans(t *testing.T) {
	w := draw(seeded(*seed+3, 1))
	st, err := plan.NewState(w.layout)
	if err != nil {
		t.Fatal(err)
	}
	d := seeded(*seed+3, 2)
	for range 30 {
		w.change(d, st)
		s := st.Freeze()
		frozen := &world{layout: w.layout, nodes: slices.Clone(w.nodes), gang: w.gang, caps: w.caps}
		want := plan.Plan(frozen.snapshot(), w.gang, w.fits, plan.Options{})
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
		w.change(d, st)
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

// FuzzPlan compares the planner with the reference on worlds made from bytes.
func FuzzPlan(f *testing.F) {
	for i := range uint64(16) {
		d := seeded(*seed, i)
		data := make([]byte, 200)
		for k := range data {
			data[k] = byte(d.roll(256))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w := draw(&byteDice{data})
		if _, err := compare(w); err != nil {
			t.Fatalf("%v\n%s", err, w)
		}
	})
}

// TestScore states what the score of a single pod prefers.
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
