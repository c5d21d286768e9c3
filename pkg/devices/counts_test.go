// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// Machines with obvious results have the right slots. The stock allocator needs seconds for
// some of them.
func TestSlots(t *testing.T) {
	pairs := func(n int) *resourceapi.ResourceClaim {
		c := claim("pairs")
		for i := range n {
			gpu, nic := fmt.Sprintf("gpu-%d", i), fmt.Sprintf("nic-%d", i)
			c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, wants(gpu, "gpu", 1), wants(nic, "nic", 1))
			match(c, pcieRoot, gpu, nic)
		}
		return c
	}
	oneNUMA := machine{gpus: []attrs{{numaNode: 0}}, nics: []attrs{{numaNode: 0, "dra.net/rdma": true}, {numaNode: 0, "dra.net/rdma": true}}}
	tests := map[string]struct {
		machine machine
		used    []string
		claim   *resourceapi.ResourceClaim
		want    int
	}{
		"whole node":                           {ndH100v5(), nil, claim("c", wants("g", "gpu", 8), wants("n", "nic", 8)), 1},
		"quarters":                             {ndH100v5(), nil, claim("c", wants("g", "gpu", 2), wants("n", "nic", 2)), 4},
		"one NIC gone":                         {ndH100v5(), []string{"dra.net/n1/nic-03"}, claim("c", wants("g", "gpu", 8), wants("n", "nic", 8)), 0},
		"more NICs than there are":             {ndH100v5(), nil, claim("c", wants("g", "gpu", 4), wants("n", "nic", 9)), 0},
		"all NICs":                             {ndH100v5(), nil, claim("c", wants("g", "gpu", 4), wantsAll("n", "nic")), 1},
		"all NICs, one gone":                   {ndH100v5(), []string{"dra.net/n1/nic-03"}, claim("c", wants("g", "gpu", 4), wantsAll("n", "nic")), 0},
		"all of both on one NUMA node":         {oneNUMA, nil, match(claim("c", wantsAll("g", "gpu"), wantsAll("n", "nic")), numaNode), 1},
		"four GPUs of one NUMA node":           {ndH100v5(), nil, match(claim("c", wants("g", "gpu", 4)), numaNode), 2},
		"four GPUs of one NUMA node, two gone": {ndH100v5(), []string{"gpu.nvidia.com/n1/gpu-0", "gpu.nvidia.com/n1/gpu-7"}, match(claim("c", wants("g", "gpu", 4)), numaNode), 0},
		"a pair by root where none publishes":  {ndH100v5(), nil, pairs(1), 0},
		"eight pairs by root":                  {dgxH100(), nil, pairs(8), 1},
		"eight pairs, one root's NIC gone":     {dgxH100(), []string{"dra.net/n1/nic-00"}, pairs(8), 0},
		"pairs where two GPUs share a NIC":     {p4d(), nil, pairs(1), 4},
		"three pairs of four":                  {p4d(), nil, pairs(3), 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inv := inventory(test.machine.slices("n1")...)
			inv.SetAllocation("other", allocated(test.used...))
			request := mustRequest(t, inv, test.claim)
			if got := slots(t, inv.View(request), request, "n1"); got != test.want {
				t.Errorf("got %d slots, want %d", got, test.want)
			}
		})
	}
}

// A partitionable GPU counts whole for requests of whole GPUs, and in parts for requests of
// parts, even if both kinds of request are in use.
func TestPartitionableDevices(t *testing.T) {
	sim := newSimulation(1)
	inv := inventory(sim.partitions("n1")...)
	whole, part := mustRequest(t, inv, claim("w", wants("g", "gpu", 1))), mustRequest(t, inv, claim("p", wants("m", "mig", 1)))
	for _, test := range []struct {
		used        string
		whole, part int
	}{
		{"", 1, 2}, {"gpu.nvidia.com/n1-parts/part-1", 0, 1}, {"gpu.nvidia.com/n1-parts/whole", 0, 0}, {"", 1, 2},
	} {
		inv.SetAllocation("other", nil)
		if test.used != "" {
			inv.SetAllocation("other", allocated(test.used))
		}
		view := inv.View(whole, part)
		got := []int{slots(t, view, whole, "n1"), slots(t, view, part, "n1")}
		if diff := cmp.Diff([]int{test.whole, test.part}, got); diff != "" {
			t.Errorf("used %q: whole and part (-want,+got):\n%s", test.used, diff)
		}
	}
}

// A shared NIC counts as often as its bandwidth suffices.
func TestSharedDevices(t *testing.T) {
	nic := device("nic-0", attrs{"dra.net/rdma": true})
	sim := newSimulation(1)
	sim.share(&nic)
	nic.Capacity["bandwidth"] = resourceapi.DeviceCapacity{Value: quantity("400"), RequestPolicy: &resourceapi.CapacityRequestPolicy{
		Default: ptr.To(quantity("100")), ValidRange: &resourceapi.CapacityRequestPolicyRange{Min: ptr.To(quantity("100")), Step: ptr.To(quantity("50"))},
	}}
	withBandwidth := func(bandwidth string) *resourceapi.ResourceClaim {
		request := wants("n", "nic", 1)
		if bandwidth != "" {
			request.Exactly.Capacity = &resourceapi.CapacityRequirements{
				Requests: map[resourceapi.QualifiedName]resource.Quantity{"bandwidth": quantity(bandwidth)},
			}
		}
		return claim("c", request)
	}
	used := allocated("dra.net/n1/nic-0")
	used.Devices.Results[0].ShareID = ptr.To(types.UID("share"))
	used.Devices.Results[0].ConsumedCapacity = map[resourceapi.QualifiedName]resource.Quantity{"bandwidth": quantity("150")}
	for bandwidth, want := range map[string][2]int{"": {4, 2}, "50": {4, 2}, "120": {2, 1}, "400": {1, 0}, "500": {0, 0}} {
		inv := inventory(slice("dra.net", "n1", nic))
		request := mustRequest(t, inv, withBandwidth(bandwidth))
		free := slots(t, inv.View(request), request, "n1")
		inv.SetAllocation("other", used)
		after := slots(t, inv.View(request), request, "n1")
		if diff := cmp.Diff(want, [2]int{free, after}); diff != "" {
			t.Errorf("bandwidth %q: free and partly used (-want,+got):\n%s", bandwidth, diff)
		}
	}
}

// Times equals the result of assigning devices to demands one by one, in every way.
func TestTimesAgainstBruteForce(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for round := range 3000 {
		supply := make([]int, 1+random.IntN(4))
		for kind := range supply {
			supply[kind] = random.IntN(4)
		}
		var demands []devices.DeviceDemand
		for range 1 + random.IntN(3) {
			d := devices.DeviceDemand{Count: 1 + random.IntN(2)}
			for kind := range supply {
				if random.IntN(2) == 0 {
					d.Kinds = append(d.Kinds, kind)
				}
			}
			demands = append(demands, d)
		}
		want := 0
		for bruteFits(demands, supply, want+1) {
			want++
		}
		if got := devices.Times(demands, supply); got != want {
			t.Fatalf("round %d: got %d, want %d\ndemands %+v\nsupply %v", round, got, want, demands, supply)
		}
	}
}

func bruteFits(demands []devices.DeviceDemand, supply []int, times int) bool {
	var open []devices.DeviceDemand
	for range times {
		for _, d := range demands {
			for range d.Count {
				open = append(open, d)
			}
		}
	}
	total := 0
	for _, count := range supply {
		total += count
	}
	return len(open) <= total && bruteGive(open, append([]int(nil), supply...))
}

func bruteGive(open []devices.DeviceDemand, supply []int) bool {
	if len(open) == 0 {
		return true
	}
	for _, kind := range open[0].Kinds {
		if supply[kind] == 0 {
			continue
		}
		supply[kind]--
		if bruteGive(open[1:], supply) {
			return true
		}
		supply[kind]++
	}
	return false
}

// The machines of the local cluster have the slots and units of the real machines.
func TestFleetMachines(t *testing.T) {
	byName := classes{}
	for _, class := range fleet.Classes() {
		byName[class.Name] = class
	}
	inv := devices.New(devices.DefaultOptions())
	var names []string
	for n := range fleet.Default().All() {
		names = append(names, n.Name())
		for _, s := range n.Slices() {
			inv.SetSlice(s)
		}
	}
	worker := pod.DeepCopy()
	worker.Spec.Containers = []v1.Container{container("8", false)}
	request, err := inv.Request(worker, []*resourceapi.ResourceClaim{claim("c", wants("nic", fleet.ClassRDMA, 8))}, byName)
	if err != nil {
		t.Fatal(err)
	}
	if !request.RDMA {
		t.Error("eight RDMA NICs do not count as RDMA")
	}
	view := inv.View(request)
	for _, name := range names {
		if got := slots(t, view, request, name); got != 1 {
			t.Errorf("node %s: got %d slots, want 1", name, got)
		}
		if got := len(mustNode(t, view, name).Units); got != 9 {
			t.Errorf("node %s: got %d units, want 8 pairs and the loose one", name, got)
		}
	}
	if diff := cmp.Diff([]string(nil), view.Problems()); diff != "" {
		t.Errorf("problems (-want,+got):\n%s", diff)
	}
}
