// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/devices"
)

var reachNodes = []string{"n1", "n2", "n3", "n4"}

// onNetwork returns a pool of devices that the given nodes can use. All nodes can use it if
// none is given.
func onNetwork(pool string, count int, nodes ...string) *resourceapi.ResourceSlice {
	published := slice("network", pool)
	published.Spec.NodeName = nil
	for i := range count {
		published.Spec.Devices = append(published.Spec.Devices, device(fmt.Sprintf("far-%d", i), nil))
	}
	if len(nodes) == 0 {
		published.Spec.AllNodes = ptr.To(true)
		return published
	}
	published.Spec.NodeSelector = &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: nodes}},
	}}}
	return published
}

func inNode(name string, count int) *resourceapi.ResourceSlice {
	published := slice("local", name)
	for i := range count {
		published.Spec.Devices = append(published.Spec.Devices, device(fmt.Sprintf("near-%d", i), nil))
	}
	return published
}

func reachClasses() classes {
	return classes{
		"near": class("near", `device.driver == "local"`),
		"far":  class("far", `device.driver == "network"`),
		"any":  class("any", `true`),
	}
}

// reachOf returns where a claim's devices are usable: on one node, or on the nodes of each
// node set.
func reachOf(t *testing.T, inv *devices.Inventory, c *resourceapi.ResourceClaim) (oneNode bool, sets [][]string) {
	t.Helper()
	request, err := inv.Request(pod, []*resourceapi.ResourceClaim{c}, reachClasses())
	if err != nil {
		t.Fatal(err)
	}
	reach := inv.View(request).Reach(&request)
	for _, set := range reach.NodeSets {
		var in []string
		for _, name := range reachNodes {
			holds, err := set.Contains(node(name))
			if err != nil {
				t.Fatal(err)
			}
			if holds {
				in = append(in, name)
			}
		}
		if set.AllNodes() != (len(in) == len(reachNodes)) {
			t.Errorf("AllNodes of node set %v is %t", in, set.AllNodes())
		}
		sets = append(sets, in)
	}
	return reach.OneNode, sets
}

func TestReach(t *testing.T) {
	near, east, west, all := inNode("n1", 2), onNetwork("east", 1, "n1", "n2"), onNetwork("west", 2, "n3", "n4"), onNetwork("wide", 1)
	all2 := wantsAll("r", "near")
	for name, test := range map[string]struct {
		slices  []*resourceapi.ResourceSlice
		wants   []resourceapi.DeviceRequest
		oneNode bool
		sets    [][]string
	}{
		"devices of nodes":                        {[]*resourceapi.ResourceSlice{near, east}, []resourceapi.DeviceRequest{wants("r", "near", 1)}, true, nil},
		"all devices of a node":                   {[]*resourceapi.ResourceSlice{near}, []resourceapi.DeviceRequest{all2}, true, nil},
		"devices of node sets":                    {[]*resourceapi.ResourceSlice{near, east, west}, []resourceapi.DeviceRequest{wants("r", "far", 1)}, false, [][]string{{"n1", "n2"}, {"n3", "n4"}}},
		"more than one set has":                   {[]*resourceapi.ResourceSlice{near, east, west}, []resourceapi.DeviceRequest{wants("r", "far", 2)}, false, [][]string{{"n3", "n4"}}},
		"more than any set has":                   {[]*resourceapi.ResourceSlice{near, east, west}, []resourceapi.DeviceRequest{wants("r", "far", 3)}, false, nil},
		"devices of all nodes help":               {[]*resourceapi.ResourceSlice{east, all}, []resourceapi.DeviceRequest{wants("r", "far", 2)}, false, [][]string{{"n1", "n2"}}},
		"devices of all nodes":                    {[]*resourceapi.ResourceSlice{all}, []resourceapi.DeviceRequest{wants("r", "far", 1)}, false, [][]string{reachNodes}},
		"one of a node and one of a set":          {[]*resourceapi.ResourceSlice{near, east}, []resourceapi.DeviceRequest{wants("a", "far", 1), wants("b", "near", 1)}, true, nil},
		"whichever there is":                      {[]*resourceapi.ResourceSlice{near, east}, []resourceapi.DeviceRequest{wants("r", "any", 1)}, true, nil},
		"a class of which there is none anywhere": {[]*resourceapi.ResourceSlice{near}, []resourceapi.DeviceRequest{wants("r", "far", 1)}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			gotOneNode, got := reachOf(t, inventory(test.slices...), claim("c", test.wants...))
			if diff := cmp.Diff(test.sets, got); gotOneNode != test.oneNode || diff != "" {
				t.Errorf("on one node: %t, want %t; sets (-want,+got):\n%s", gotOneNode, test.oneNode, diff)
			}
		})
	}
}

// reachSimulation returns a few nodes with devices of their own, and disjoint node sets
// with devices on the network.
func reachSimulation(random *rand.Rand) *simulation {
	sim := &simulation{Rand: random, allocations: map[types.UID]*resourceapi.AllocationResult{}}
	for _, name := range reachNodes {
		if sim.chance(60) {
			sim.slices = append(sim.slices, inNode(name, 1+sim.IntN(3)))
		}
	}
	cut := 1 + sim.IntN(len(reachNodes)-1)
	sim.slices = append(sim.slices, onNetwork("east", 1+sim.IntN(3), reachNodes[:cut]...))
	if sim.chance(70) {
		sim.slices = append(sim.slices, onNetwork("west", 1+sim.IntN(3), reachNodes[cut:]...))
	}
	if sim.chance(40) {
		sim.slices = append(sim.slices, onNetwork("wide", 1+sim.IntN(2)))
	}
	sim.allocate(30)
	return sim
}

// If a claim's devices are usable in node sets, all nodes of a set can use the devices that
// the stock allocator takes on one of them. The allocator takes none on other nodes. If it
// binds devices to one node, OneNode is true.
func TestReachAgreesWithStockAllocator(t *testing.T) {
	cache := cel.NewCache(100, cel.Features{EnableConsumableCapacity: true})
	tied, spread := 0, 0
	for seed := range uint64(400) {
		sim := reachSimulation(rand.New(rand.NewPCG(seed, 7)))
		inv := inventory(sim.slices...)
		inv.SyncAllocated(sim.state())
		c := claim("c", wants("r0", []string{"near", "far", "far", "any"}[sim.IntN(4)], int64(1+sim.IntN(2))))
		if sim.chance(40) {
			c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, wants("r1", []string{"near", "far"}[sim.IntN(2)], 1))
		}
		oneNode, sets := reachOf(t, inv, c)
		for _, name := range reachNodes {
			usable := sim.usable(t, cache, c, name)
			in := slices.IndexFunc(sets, func(nodes []string) bool { return slices.Contains(nodes, name) })
			switch {
			case usable == nil:
			case oneNode:
				tied++
			case in < 0:
				t.Fatalf("seed %d: stock allocates on %s, which is in none of %v\n%s", seed, name, sets, describe(sim, []*resourceapi.ResourceClaim{c}))
			default:
				spread++
				for _, other := range sets[in] {
					if !slices.Contains(usable, other) {
						t.Fatalf("seed %d: what stock allocates on %s can be used on %v, want all of %v\n%s", seed, name, usable, sets[in], describe(sim, []*resourceapi.ResourceClaim{c}))
					}
				}
			}
		}
	}
	if tied < 100 || spread < 100 {
		t.Errorf("%d allocations on one node, %d in sets: too one-sided to tell anything", tied, spread)
	}
}

// usable returns the nodes that can use the devices that the stock allocator takes for the
// claim on a node. It returns nil if the allocator takes none.
func (sim *simulation) usable(t *testing.T, cache *cel.Cache, c *resourceapi.ResourceClaim, name string) (nodes []string) {
	allocator, err := structured.NewAllocator(t.Context(), stockFeatures, sim.state(), reachClasses(), sim.slices, cache)
	if err != nil {
		t.Fatal(err)
	}
	results, err := allocator.Allocate(t.Context(), node(name), []*resourceapi.ResourceClaim{c})
	if err != nil || len(results) == 0 {
		return nil
	}
	for _, other := range reachNodes {
		labelled := node(other)
		labelled.Labels[v1.LabelHostname] = other
		matches, err := structured.NodeMatches(structured.Features{}, labelled, "", results[0].NodeSelector == nil, results[0].NodeSelector)
		if err != nil {
			t.Fatal(err)
		}
		if matches {
			nodes = append(nodes, other)
		}
	}
	return nodes
}
