// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// slowCase is a pod for which the stock allocator searches for a long time and finds
// nothing.
type slowCase struct {
	name    string
	machine machine
	used    []string
	claim   *resourceapi.ResourceClaim
	// want is the shortage that counts find.
	want string
}

// inPairs requests eight pairs of a GPU and a NIC, each with its own constraint.
func inPairs(class, attribute string) *resourceapi.ResourceClaim {
	c := claim("c")
	for i := range 8 {
		gpu, nic := fmt.Sprintf("gpu-%d", i), fmt.Sprintf("nic-%d", i)
		c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, wants(gpu, "gpu", 1), wants(nic, class, 1))
		match(c, attribute, gpu, nic)
	}
	return c
}

// nics returns names of NICs by number.
func nics(from, to int) []string {
	var names []string
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprintf("nic-%02d", i))
	}
	return names
}

func slowCases() []slowCase {
	p5 := machineOf(fleet.P5)
	// DRANET publishes the standard attribute as of Kubernetes 1.37.
	azure := ndH100v5()
	for _, nic := range azure.nics {
		nic[numaNode] = nic["dra.net/numaNode"]
	}
	return []slowCase{
		{
			name: "p5, 8 pairs, the 4 NICs of one root in use", machine: p5, used: nics(28, 32), claim: inPairs("rdma", pcieRoot),
			want: "1 of class gpu and 1 of class rdma with one " + pcieRoot + ": 8 wanted, 7 available",
		},
		{
			name: "ND H100 v5, 8 pairs, 1 NIC in use", machine: azure, used: nics(7, 8), claim: inPairs("nic", numaNode),
			want: "devices of class nic: 8 wanted, 7 free",
		},
		{
			name: "p5, 4 GPUs and 17 NICs, 16 free", machine: p5, used: nics(0, 16),
			claim: claim("c", wants("gpu", "gpu", 4), wants("nic", "rdma", 17)),
			want:  "devices of class rdma: 17 wanted, 16 free",
		},
		{
			name: "ND H100 v5, 4 GPUs and 9 NICs where 8 exist", machine: ndH100v5(),
			claim: claim("c", wants("gpu", "gpu", 4), wants("nic", "nic", 9)),
			want:  "devices of class nic: 9 wanted, 8 free",
		},
	}
}

// state returns the state with the devices in use.
func (s slowCase) state() structured.AllocatedState {
	state := structured.AllocatedState{AllocatedDevices: sets.New[structured.DeviceID]()}
	for _, name := range s.used {
		state.AllocatedDevices.Insert(structured.MakeDeviceID("dra.net", "n1", name))
	}
	return state
}

func (s slowCase) inventory() *devices.Inventory {
	inv := inventory(s.machine.slices("n1")...)
	inv.SyncAllocated(s.state())
	return inv
}

// Counts alone show that the pods of the slow cases have no room, with the reason.
func TestCountsRefuseSlowCases(t *testing.T) {
	for _, test := range slowCases() {
		t.Run(test.name, func(t *testing.T) {
			inv := test.inventory()
			request := mustRequest(t, inv, test.claim)
			if got := inv.Assess("n1", &request, devices.NoRail, noPlugin).Shortage; got != test.want {
				t.Errorf("shortage %q, want %q", got, test.want)
			}
		})
	}
}

// BenchmarkSlowCases measures how long a node takes to refuse the pods of the slow cases:
// our counts without cached assessments, and the stock allocator with the scheduler's
// default timeout.
func BenchmarkSlowCases(b *testing.B) {
	for _, test := range slowCases() {
		b.Run(test.name, func(b *testing.B) {
			var ours time.Duration
			b.Run("counts", func(b *testing.B) { ours = test.timeCounts(b) })
			b.Run("stock", func(b *testing.B) {
				if stock := test.timeStock(b); ours > 0 {
					b.ReportMetric(float64(stock)/float64(ours), "x-counts")
				}
			})
		})
	}
}

func (s slowCase) timeCounts(b *testing.B) time.Duration {
	inv := s.inventory()
	request, err := inv.Request(pod, []*resourceapi.ResourceClaim{s.claim}, standardClasses())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		// A change of an allocation drops the cached assessment of the node.
		b.StopTimer()
		inv.SetAllocation("other", allocated("gpu.nvidia.com/n1/gpu-0"))
		inv.SetAllocation("other", nil)
		b.StartTimer()
		if got := inv.Assess("n1", &request, devices.NoRail, noPlugin).Shortage; got != s.want {
			b.Fatalf("shortage %q, want %q", got, s.want)
		}
	}
	return b.Elapsed() / time.Duration(b.N)
}

// filterTimeout is the scheduler's default for one node.
const filterTimeout = 10 * time.Second

func (s slowCase) timeStock(b *testing.B) time.Duration {
	published, cache := s.machine.slices("n1"), cel.NewCache(10, cel.Features{EnableConsumableCapacity: true})
	stopped := 0
	for b.Loop() {
		if s.stockSearch(b, published, cache) {
			stopped++
		}
	}
	b.ReportMetric(float64(stopped)/float64(b.N), "timeouts/op")
	return b.Elapsed() / time.Duration(b.N)
}

// stockSearch runs the stock allocator. It returns true if the timeout stopped it.
func (s slowCase) stockSearch(b *testing.B, published []*resourceapi.ResourceSlice, cache *cel.Cache) bool {
	ctx, cancel := context.WithTimeout(b.Context(), filterTimeout)
	defer cancel()
	allocator, err := structured.NewAllocator(ctx, stockFeatures, s.state(), standardClasses(), published, cache)
	if err != nil {
		b.Fatal(err)
	}
	results, err := allocator.Allocate(ctx, node("n1"), []*resourceapi.ResourceClaim{s.claim})
	stopped := errors.Is(err, context.DeadlineExceeded)
	if err != nil && !stopped || results != nil {
		b.Fatalf("stock: %v, %v; want nothing found", results, err)
	}
	return stopped
}
