// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/devices"
)

// Freed equals the difference of two views: of an inventory without the claims of the releases
// and of the inventory as it is.
func TestFreedAgainstViews(t *testing.T) {
	tested := 0
	for seed := range uint64(300) {
		sim := newSimulation(seed)
		sim.slices = slices.DeleteFunc(sim.slices, func(s *resourceapi.ResourceSlice) bool {
			return s.Spec.NodeName == nil && s.Spec.Pool.Name == "network"
		})
		sim.allocate(60)
		all := maps.Clone(sim.allocations)
		nodes := []string{"n1", "n2", "n3"}
		releases := make([]devices.Release, 6)
		for i := range releases {
			releases[i].Node = nodes[i/2]
		}
		for _, uid := range slices.Sorted(maps.Keys(all)) {
			goes := sim.IntN(8)
			name := nodeOfDevice(sim, uid)
			if goes >= len(releases) || releases[goes].Node != name {
				continue
			}
			releases[goes].Allocations = append(releases[goes].Allocations, devices.Allocation{Claim: uid, Result: all[uid]})
			tested++
		}
		inv, without := inventory(sim.slices...), inventory(sim.slices...)
		gathered := sim.chance(50)
		fill := func(inv *devices.Inventory) {
			if gathered {
				inv.SyncAllocated(sim.state())
				return
			}
			for uid, allocation := range sim.allocations {
				inv.SetAllocation(uid, allocation)
			}
		}
		fill(inv)
		for i := range releases {
			for _, a := range releases[i].Allocations {
				delete(sim.allocations, a.Claim)
			}
		}
		fill(without)
		var requests []devices.Request
		for range 3 {
			requests = append(requests, mustRequest(t, inv, sim.claims()...))
		}
		view := inv.View(requests...)
		freed, ok := inv.Freed(view, releases)
		if !ok {
			t.Fatalf("seed %d: the view is outdated", seed)
		}
		other := without.View(requests...)
		for _, name := range nodes {
			got := counts(t, view, name)
			for i := range releases {
				for u := range freed[i].Units {
					for kind, n := range freed[i].Units[u] {
						if releases[i].Node == name {
							got[u][kind] += n
						}
					}
				}
			}
			if diff := cmp.Diff(counts(t, other, name), got); diff != "" {
				t.Fatalf("seed %d: free devices of %s without the claims (-want,+got):\n%s", seed, name, diff)
			}
		}
		if diff := cmp.Diff(counts(t, view, "n1"), counts(t, inv.View(requests...), "n1")); diff != "" {
			t.Fatalf("seed %d: the inventory changed (-before,+after):\n%s", seed, diff)
		}
	}
	if tested < 300 {
		t.Errorf("only %d claims were freed", tested)
	}
}

// nodeOfDevice returns the node of a claim's only device. A claim's UID is the device's name.
func nodeOfDevice(sim *simulation, uid types.UID) string {
	for _, s := range sim.slices {
		for i := range s.Spec.Devices {
			if s.Spec.NodeName != nil && string(uid) == s.Spec.Driver+"/"+s.Spec.Pool.Name+"/"+s.Spec.Devices[i].Name {
				return *s.Spec.NodeName
			}
		}
	}
	return ""
}

// What a claim frees of partitioned and shared devices depends on what else uses them.
func TestFreedPartsAndShares(t *testing.T) {
	nic := device("nic-0", attrs{"dra.net/rdma": true})
	sim := newSimulation(1)
	sim.share(&nic)
	inv := inventory(append(sim.partitions("n1"), slice("dra.net", "n1", nic))...)
	share := func(id, bandwidth string) *resourceapi.AllocationResult {
		used := allocated("dra.net/n1/nic-0")
		used.Devices.Results[0].ShareID = ptr.To(types.UID(id))
		used.Devices.Results[0].ConsumedCapacity = map[resourceapi.QualifiedName]resource.Quantity{"bandwidth": quantity(bandwidth)}
		return used
	}
	part, first, second := allocated("gpu.nvidia.com/n1-parts/part-1"), share("a", "300"), share("b", "100")
	inv.SetAllocation("part", part)
	inv.SetAllocation("first", first)
	inv.SetAllocation("second", second)
	whole, mig := mustRequest(t, inv, claim("w", wants("g", "gpu", 1))), mustRequest(t, inv, claim("p", wants("m", "mig", 1)))
	request := wants("n", "nic", 1)
	request.Exactly.Capacity = &resourceapi.CapacityRequirements{Requests: map[resourceapi.QualifiedName]resource.Quantity{"bandwidth": quantity("100")}}
	shared := mustRequest(t, inv, claim("c", request))
	view := inv.View(whole, mig, shared)
	freed, ok := inv.Freed(view, []devices.Release{
		{Node: "n1", Allocations: []devices.Allocation{{Claim: "second", Result: second}}},
		{Node: "n1", Allocations: []devices.Allocation{{Claim: "part", Result: part}, {Claim: "first", Result: first}}},
	})
	if !ok {
		t.Fatal("the view is outdated")
	}
	total := func(f devices.Freed, of func(devices.Kind) bool) int {
		sum := 0
		for _, unit := range f.Units {
			for kind, n := range unit {
				if of(view.Kinds[kind]) {
					sum += n
				}
			}
		}
		return sum
	}
	isNIC := func(k devices.Kind) bool { return strings.Contains(k.Name, "NIC") }
	isGPU := func(k devices.Kind) bool { return k.GPU }
	got := [][2]int{}
	for _, f := range freed {
		got = append(got, [2]int{total(f, isGPU), total(f, isNIC)})
	}
	if diff := cmp.Diff([][2]int{{0, 1}, {2, 3}}, got); diff != "" {
		t.Errorf("freed GPUs (whole or part) and shares (-want,+got):\n%s", diff)
	}
}

// Freed refuses a view that is not the last one of the inventory.
func TestFreedOfOldView(t *testing.T) {
	inv := inventory(slice("gpu.nvidia.com", "n1", device("gpu-0", attrs{"type": "gpu"})))
	old := inv.View(mustRequest(t, inv, claim("g", wants("g", "gpu", 1))))
	inv.View(mustRequest(t, inv, claim("n", wants("n", "nic", 1))))
	if _, ok := inv.Freed(old, nil); ok {
		t.Error("Freed accepted an outdated view")
	}
}

// counts returns the free devices of a node by alignment unit and kind.
func counts(t *testing.T, view *devices.View, name string) [][]int {
	t.Helper()
	found := mustNode(t, view, name)
	var free [][]int
	for _, unit := range found.Units {
		free = append(free, append([]int(nil), unit.Free...))
	}
	return free
}
