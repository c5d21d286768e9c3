// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"slices"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/dovetail-dev/dovetail/pkg/devices"
)

var sizes = []int{50, 500, 5000}

func bigInventory(b *testing.B, nodes int) (*devices.Inventory, []*resourceapi.ResourceSlice, devices.Request) {
	b.Helper()
	var slices []*resourceapi.ResourceSlice
	for i := range nodes {
		slices = append(slices, ndH100v5().slices(fmt.Sprintf("node-%04d", i))...)
	}
	inv := inventory(slices...)
	request, err := inv.Request(pod, []*resourceapi.ResourceClaim{claim("c", wants("g", "gpu", 8), wants("n", "nic", 8))}, standardClasses())
	if err != nil {
		b.Fatal(err)
	}
	if option := inv.View(request).Least(&request); len(option.Demands) != 2 || len(option.Demands[0].Kinds) != 1 {
		b.Fatalf("the request is not two demands of one kind: %+v", option)
	}
	return inv, slices, request
}

// BenchmarkViewAfterOneAllocation measures a view after a change of one node's allocation.
func BenchmarkViewAfterOneAllocation(b *testing.B) {
	for _, nodes := range sizes {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			inv, _, need := bigInventory(b, nodes)
			held := allocated("gpu.nvidia.com/node-0007/gpu-3", "dra.net/node-0007/nic-03")
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%2 == 0 {
					inv.SetAllocation("c", held)
				} else {
					inv.SetAllocation("c", nil)
				}
				inv.View(need)
			}
		})
	}
}

// BenchmarkViewAfterOneSlice measures a view after one node published a slice again.
func BenchmarkViewAfterOneSlice(b *testing.B) {
	for _, nodes := range sizes {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			inv, slices, need := bigInventory(b, nodes)
			b.ReportAllocs()
			for b.Loop() {
				inv.SetSlice(slices[14].DeepCopy())
				inv.View(need)
			}
		})
	}
}

// BenchmarkFirstView measures the first view of a cluster. It evaluates every device.
func BenchmarkFirstView(b *testing.B) {
	for _, nodes := range sizes {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			_, slices, need := bigInventory(b, nodes)
			b.ReportAllocs()
			for b.Loop() {
				inventory(slices...).View(need)
			}
		})
	}
}

// BenchmarkSyncAllocated measures SyncAllocated with the tracker's whole state after a
// change of one device.
func BenchmarkSyncAllocated(b *testing.B) {
	for _, nodes := range sizes {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			inv, slices, _ := bigInventory(b, nodes)
			states := []structured.AllocatedState{
				{AllocatedDevices: sets.New[structured.DeviceID]()}, {AllocatedDevices: sets.New[structured.DeviceID]()},
			}
			for i, s := range slices {
				for j, d := range s.Spec.Devices {
					id := structured.MakeDeviceID(s.Spec.Driver, s.Spec.Pool.Name, d.Name)
					states[0].AllocatedDevices.Insert(id)
					if i > 0 || j > 0 {
						states[1].AllocatedDevices.Insert(id)
					}
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				inv.SyncAllocated(states[i%2])
			}
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	inv, _, _ := bigInventory(b, 50)
	claims := []*resourceapi.ResourceClaim{claim("c", wants("g", "gpu", 8), wants("n", "nic", 8))}
	classes := standardClasses()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := inv.Request(pod, claims, classes); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOrder measures the choice of a pod's devices on one node, four pairs of eight.
// plugin=Order orders the node's devices for a planned pod. plugin=Allocator then
// allocates: from the node's slices (shown=node), or from the slices of the whole cluster
// as in the stock scheduler (shown=cluster).
func BenchmarkOrder(b *testing.B) {
	for _, nodes := range []int{100, 1000, 5000} {
		inv, all, _ := bigInventory(b, nodes)
		claims := []*resourceapi.ResourceClaim{claim("c", wants("g", "gpu", 4), wants("n", "nic", 4))}
		request, err := inv.Request(pod, claims, standardClasses())
		if err != nil {
			b.Fatal(err)
		}
		const name = "node-0007"
		inv.SetAllocation("x", allocated("gpu.nvidia.com/"+name+"/gpu-0"))
		own := slices.DeleteFunc(slices.Clone(all), func(s *resourceapi.ResourceSlice) bool { return *s.Spec.NodeName != name })
		b.Run(fmt.Sprintf("nodes=%d/plugin=Order", nodes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				order, ok := inv.Order(name, &request, nil)
				if !ok {
					b.Fatal("nothing to order")
				}
				if order.Arrange(own[0]) == own[0] && order.Arrange(own[1]) == own[1] {
					b.Fatal("nothing to arrange")
				}
			}
		})
		for _, shown := range []struct {
			what   string
			slices []*resourceapi.ResourceSlice
		}{{"node", own}, {"cluster", all}} {
			b.Run(fmt.Sprintf("nodes=%d/plugin=Allocator/shown=%s", nodes, shown.what), func(b *testing.B) {
				b.ReportAllocs()
				cache := cel.NewCache(100, cel.Features{EnableConsumableCapacity: true})
				for b.Loop() {
					allocator, err := structured.NewAllocator(b.Context(), stockFeatures, oneAllocated(name), standardClasses(), shown.slices, cache)
					if err != nil {
						b.Fatal(err)
					}
					if results, err := allocator.Allocate(b.Context(), node(name), claims); err != nil || len(results) != 1 {
						b.Fatalf("%v, %v", results, err)
					}
				}
			})
		}
	}
}

// oneAllocated returns a state with one GPU of a node in use. The node's first NICs are
// then not the best choice.
func oneAllocated(node string) structured.AllocatedState {
	return structured.AllocatedState{
		AllocatedDevices:         sets.New(structured.MakeDeviceID("gpu.nvidia.com", node, "gpu-0")),
		AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
		AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
	}
}
