// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/dovetail-dev/dovetail/pkg/devices"
)

var sizes = []int{50, 500, 5000}

func bigInventory(b *testing.B, nodes int) (*devices.Inventory, []*resourceapi.ResourceSlice, devices.Need) {
	b.Helper()
	var slices []*resourceapi.ResourceSlice
	for i := range nodes {
		slices = append(slices, ndH100v5().slices(fmt.Sprintf("node-%04d", i))...)
	}
	inv := inventory(slices...)
	need, err := inv.Need(pod, []*resourceapi.ResourceClaim{claim("c", wants("g", "gpu", 8), wants("n", "nic", 8))}, standardClasses())
	if err != nil {
		b.Fatal(err)
	}
	if option := inv.View(need).Least(&need); len(option.Demands) != 2 || len(option.Demands[0].Kinds) != 1 {
		b.Fatalf("the need is not two demands of one kind: %+v", option)
	}
	return inv, slices, need
}

// One node's allocation changes, then the next gang looks.
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

// One node publishes a slice anew, then the next gang looks.
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

// The first view of a cluster, and what a request that was never seen costs.
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

// The tracker's whole state is taken over again, with one device more or less in it.
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

func BenchmarkNeed(b *testing.B) {
	inv, _, _ := bigInventory(b, 50)
	claims := []*resourceapi.ResourceClaim{claim("c", wants("g", "gpu", 8), wants("n", "nic", 8))}
	known := standardClasses()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := inv.Need(pod, claims, known); err != nil {
			b.Fatal(err)
		}
	}
}
