// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/dovetail-dev/dovetail/pkg/devices"
)

// stockFeatures are the allocator features of Kubernetes 1.37 with default gates.
var stockFeatures = structured.Features{
	AdminAccess: true, PrioritizedList: true, PartitionableDevices: true, DeviceTaints: true, DeviceBindingAndStatus: true,
	ConsumableCapacity: true, FractionalCapacityRange: true,
}

// stock runs the stock allocator.
type stock struct {
	t     *testing.T
	sim   *simulation
	cache *cel.Cache
}

func (s *stock) allocate(state structured.AllocatedState, claims []*resourceapi.ResourceClaim, name string) []resourceapi.AllocationResult {
	allocator, err := structured.NewAllocator(s.t.Context(), stockFeatures, state, standardClasses(), s.sim.slices, s.cache)
	if err != nil {
		s.t.Fatal(err)
	}
	results, err := allocator.Allocate(s.t.Context(), node(name), claims)
	if err != nil {
		// The stock allocator returns an error for incomplete or broken pools and requests
		// for all their devices.
		return nil
	}
	return results
}

// slots returns the number of pods that stock places one after the other, at most limit.
func (s *stock) slots(claims []*resourceapi.ResourceClaim, name string, limit int) int {
	state := s.sim.state()
	for placed := range limit {
		results := s.allocate(state, claims, name)
		if results == nil {
			return placed
		}
		for i := range results {
			addTo(&state, &results[i])
		}
	}
	return limit
}

// traits are the documented reasons (doc.go) for counts that differ from the stock
// allocator.
type traits struct {
	constraint, all, parts, shared, multiNode bool
	requests                                  int
}

// exact returns true if counts must be exact for one pod: they must then agree with stock
// on whether it fits. For all devices of a kind, and for devices that consume common
// counters, counts are exact only if the pod requests nothing else.
func (t traits) exact() bool {
	return !t.constraint && !t.shared && (t.requests == 1 || !t.parts && !t.all) && !(t.all && t.multiNode)
}

func traitsOf(sim *simulation, claims []*resourceapi.ResourceClaim) traits {
	var t traits
	for _, c := range claims {
		t.constraint = t.constraint || len(c.Spec.Devices.Constraints) > 0
		for _, r := range c.Spec.Devices.Requests {
			t.requests++
			t.all = t.all || r.Exactly != nil && r.Exactly.AllocationMode == resourceapi.DeviceAllocationModeAll
			for _, sub := range r.FirstAvailable {
				t.requests++
				t.all = t.all || sub.AllocationMode == resourceapi.DeviceAllocationModeAll
			}
		}
	}
	for _, s := range sim.slices {
		t.multiNode = t.multiNode || s.Spec.NodeName == nil
		for _, d := range s.Spec.Devices {
			t.shared = t.shared || d.AllowMultipleAllocations != nil
			t.parts = t.parts || len(d.ConsumesCounters) > 0
		}
	}
	return t
}

// Counts never refuse a pod that the stock allocator accepts, and never accept a pod that
// it refuses, except for the documented differences.
func TestCountsAgreeWithStockAllocator(t *testing.T) {
	const simulations, pods = 250, 10
	cache := cel.NewCache(100, cel.Features{EnableConsumableCapacity: true})
	granted, refused := 0, 0
	for seed := range uint64(simulations) {
		sim := newSimulation(seed)
		sim.allocate(20)
		inv := inventory(sim.slices...)
		inv.SyncAllocated(sim.state())
		oracle := stock{t: t, sim: sim, cache: cache}
		for range pods {
			g, r := oracle.compare(inv, sim.claims(), fmt.Sprintf("simulation %d", seed))
			granted, refused = granted+g, refused+r
		}
	}
	if granted < 500 || refused < 500 {
		t.Errorf("%d cases with one right answer were granted and %d refused: the simulations are too one-sided to tell anything", granted, refused)
	}
	t.Logf("cases with one right answer: %d granted, %d refused", granted, refused)
}

// compare compares our counts for one pod on every node with stock. It returns how often
// stock granted or refused the pod, in the cases with a single correct answer.
func (s *stock) compare(inv *devices.Inventory, claims []*resourceapi.ResourceClaim, where string) (granted, refused int) {
	const limit = 5
	s.t.Helper()
	request := mustRequest(s.t, inv, claims...)
	view := inv.View(request)
	exact := traitsOf(s.sim, claims).exact()
	for _, name := range []string{"n1", "n2", "n3"} {
		ours, want := bestSlots(s.t, view, request, name), s.slots(claims, name, limit)
		if min(ours, limit) < want || exact && ours > 0 && want == 0 {
			s.t.Fatalf("%s, node %s: counts admit %d pods, stock %d (of at most %d)\n%s", where, name, ours, want, limit, describe(s.sim, claims))
		}
		switch {
		case exact && want > 0:
			granted++
		case exact:
			refused++
		}
	}
	return granted, refused
}

// bestSlots returns the sum of the pods that the options admit, or 0 if none admits a pod.
func bestSlots(t *testing.T, view *devices.View, request devices.Request, name string) int {
	t.Helper()
	counts, best, sum := mustNode(t, view, name), 0, 0
	for _, option := range view.Options(&request) {
		best = max(best, optionSlots(option, counts))
		sum += optionSlots(option, counts)
	}
	if best == 0 {
		return 0
	}
	// Pods may take different options. Together they are never more than the sum.
	return sum
}

func describe(sim *simulation, claims []*resourceapi.ResourceClaim) string {
	text := ""
	for _, s := range sim.slices {
		text += fmt.Sprintf("slice %s %s/%s generation %d of %d\n", s.Name, s.Spec.Driver, s.Spec.Pool.Name, s.Spec.Pool.Generation, s.Spec.Pool.ResourceSliceCount)
		for _, d := range s.Spec.Devices {
			text += "  " + d.String() + "\n"
		}
	}
	for id := range sim.allocations {
		text += "used " + string(id) + "\n"
	}
	for _, c := range claims {
		text += c.Spec.String() + "\n"
	}
	return text
}

// viewContents has all results of a view, for comparison.
type viewContents struct {
	Kinds     []devices.Kind
	PodLimits []string
	Nodes     map[string]devices.NodeDevices
	Options   [][]devices.Option
	Problems  []string
}

func contentsOf(t *testing.T, view *devices.View, requests []devices.Request) viewContents {
	t.Helper()
	p := viewContents{Kinds: view.Kinds, PodLimits: view.PodLimits, Nodes: map[string]devices.NodeDevices{}, Problems: view.Problems()}
	for _, name := range []string{"n1", "n2", "n3", "n4", "n9", "other"} {
		counts := mustNode(t, view, name)
		// Revisions depend on the order of the changes. The comparison ignores them.
		counts.Revision = 0
		p.Nodes[name] = counts
	}
	for i := range requests {
		p.Options = append(p.Options, append(view.Options(&requests[i]), view.Least(&requests[i])))
	}
	return p
}

// An inventory after step-by-step changes equals an inventory built from the final state.
// Earlier views stay unchanged.
func TestIncrementalEqualsFresh(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { checkIncremental(t, newSimulation(1000+seed)) })
	}
}

func checkIncremental(t *testing.T, sim *simulation) {
	inv := inventory(sim.slices...)
	var pods [][]*resourceapi.ResourceClaim
	for range 4 {
		pods = append(pods, sim.claims())
	}
	oldRequests := requestsOf(t, inv, pods)
	old := inv.View(oldRequests...)
	oldContents := contentsOf(t, old, oldRequests)
	for step := range 25 {
		changeSomething(sim, inv)
		requests := requestsOf(t, inv, pods)
		view := inv.View(requests...)
		contents := contentsOf(t, view, requests)
		if diff := cmp.Diff(oldContents, contentsOf(t, old, oldRequests)); diff != "" {
			t.Fatalf("step %d: an old view changed (-before,+after):\n%s", step, diff)
		}
		checkRevisions(t, old, view, oldContents, contents)
		old, oldRequests, oldContents = view, requests, contents

		fresh := inventory(sim.slices...)
		fresh.SyncAllocated(sim.state())
		freshRequests := requestsOf(t, fresh, pods)
		if diff := cmp.Diff(contentsOf(t, fresh.View(freshRequests...), freshRequests), contents); diff != "" {
			t.Fatalf("step %d: (-fresh,+incremental):\n%s", step, diff)
		}
	}
}

// checkRevisions checks that counts cached by layout and revision are never stale.
func checkRevisions(t *testing.T, old, now *devices.View, oldContents, contents viewContents) {
	t.Helper()
	if old.Layout != now.Layout || old.MultiNode() || now.MultiNode() {
		return
	}
	for name, counts := range contents.Nodes {
		if old.NodeRevision(name) != now.NodeRevision(name) {
			continue
		}
		if diff := cmp.Diff(oldContents.Nodes[name], counts); diff != "" {
			t.Fatalf("node %s: other counts at the same revision (-before,+after):\n%s", name, diff)
		}
	}
}

func requestsOf(t *testing.T, inv *devices.Inventory, pods [][]*resourceapi.ResourceClaim) []devices.Request {
	t.Helper()
	var requests []devices.Request
	for _, claims := range pods {
		requests = append(requests, mustRequest(t, inv, claims...))
	}
	return requests
}

// changeSomething changes slices or allocations, and passes each change to the inventory.
func changeSomething(sim *simulation, inv *devices.Inventory) {
	if sim.chance(50) {
		sim.mutate(func(set *resourceapi.ResourceSlice, gone string) {
			if set == nil {
				inv.DeleteSlice(gone)
				return
			}
			inv.SetSlice(set)
		})
		return
	}
	before := sim.allocations
	sim.allocations = map[types.UID]*resourceapi.AllocationResult{}
	sim.allocate(20)
	for uid := range before {
		if sim.allocations[uid] == nil {
			inv.SetAllocation(uid, nil)
		}
	}
	for uid, allocation := range sim.allocations {
		inv.SetAllocation(uid, allocation)
	}
}
