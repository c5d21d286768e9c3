// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/cel"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

func noPlugin(v1.ResourceName) bool { return false }

// Assess never reports a shortage if the stock allocator finds devices, for any slices,
// taints, counters, shares and constraints. It reports at least half of the real shortages.
func TestShortageNeverContradictsStock(t *testing.T) {
	const simulations, pods = 250, 10
	cache := cel.NewCache(100, cel.Features{EnableConsumableCapacity: true})
	refused, found := 0, 0
	for seed := range uint64(simulations) {
		sim := newSimulation(3000 + seed)
		sim.allocate(20)
		inv := inventory(sim.slices...)
		inv.SyncAllocated(sim.state())
		oracle := stock{t: t, sim: sim, cache: cache}
		for range pods {
			claims := sim.claims()
			request := mustRequest(t, inv, claims...)
			for _, name := range []string{"n1", "n2", "n3"} {
				short := inv.Assess(name, &request, devices.NoRail, noPlugin).Shortage
				results := oracle.allocate(sim.state(), claims, name)
				if short != "" && results != nil {
					t.Fatalf("simulation %d, node %s: %q, but stock allocates\n%s", seed, name, short, describe(sim, claims))
				}
				if results == nil {
					refused++
				}
				if short != "" {
					found++
				}
			}
		}
	}
	t.Logf("stock refused %d times, counts alone found %d", refused, found)
	if found*2 < refused {
		t.Errorf("counts found %d of %d refusals, want at least half", found, refused)
	}
}

// Extended resources that the node's device plugin serves do not count as a shortage of
// devices.
func TestPluginResourcesAreNotShort(t *testing.T) {
	inv := inventory()
	asking := pod.DeepCopy()
	asking.Spec.Containers = []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{"nvidia.com/gpu": quantity("2")}}}}
	request, err := inv.Request(asking, nil, standardClasses())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := inv.Assess("n1", &request, devices.NoRail, noPlugin).Shortage, "nvidia.com/gpu: 2 wanted, 0 free"; got != want {
		t.Errorf("without a plugin: %q, want %q", got, want)
	}
	if got := inv.Assess("n1", &request, devices.NoRail, func(name v1.ResourceName) bool { return name == "nvidia.com/gpu" }).Shortage; got != "" {
		t.Errorf("with a plugin: %q, want nothing", got)
	}
}

// The alignment of allocations with an obvious pairing is correct.
func TestAlignment(t *testing.T) {
	tests := map[string]struct {
		held []string
		want devices.Alignment
	}{
		"two pairs":                      {[]string{"gpu.nvidia.com/n1/gpu-0", "dra.net/n1/nic-00", "gpu.nvidia.com/n1/gpu-5", "dra.net/n1/nic-05"}, devices.Alignment{GPUs: 2, NICs: 2}},
		"the neighbour's NIC":            {[]string{"gpu.nvidia.com/n1/gpu-0", "dra.net/n1/nic-01"}, devices.Alignment{GPUs: 1, NICs: 1, Unpaired: 1}},
		"a NIC of the other socket":      {[]string{"gpu.nvidia.com/n1/gpu-0", "dra.net/n1/nic-04"}, devices.Alignment{GPUs: 1, NICs: 1, Unpaired: 1, Crossing: 1}},
		"a device that is not published": {[]string{"gpu.nvidia.com/n1/gpu-0", "dra.net/n1/nic-99"}, devices.Alignment{GPUs: 1}},
	}
	inv := inventory(ndH100v5().slices("n1")...)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := inv.Alignment("n1", []*resourceapi.AllocationResult{allocated(test.held...)}); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// Requests that select different devices of one kind get matching devices, paired, for any
// order of the requests.
func TestOrderServesRequestsThatDiffer(t *testing.T) {
	const socket1 = `device.attributes["resource.kubernetes.io"].numaNode == 1`
	cache := cel.NewCache(10, cel.Features{EnableConsumableCapacity: true})
	for name, requests := range map[string][]resourceapi.DeviceRequest{
		"any first": {wants("any", fleet.ClassGPU, 1), wants("far", fleet.ClassGPU, 1, socket1), wants("nic", fleet.ClassRDMA, 2)},
		"any last":  {wants("far", fleet.ClassGPU, 1, socket1), wants("any", fleet.ClassGPU, 1), wants("nic", fleet.ClassRDMA, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChurn(t, churnCase{shape: fleet.NDH100v5, nics: oneEach}, cache, true)
			result, promised := c.allocate(claim("c", requests...))
			if result == nil || promised == nil {
				t.Fatalf("allocated %v, promised %v", result, promised)
			}
			if unpaired := c.check(result); unpaired != 0 || promised.Unpaired != 0 {
				t.Errorf("%d NICs are unpaired, %d were promised, want none", unpaired, promised.Unpaired)
			}
		})
	}
}

// A whole p5.48xlarge has more devices than one claim can hold. A single claim for all of
// them is refused with a sentence. Two claims are paired in the same way as one claim.
func TestWholeP5TakesTwoClaims(t *testing.T) {
	machine := firstNode(t, fleet.P5)
	inv := inventory(machine.Slices()...)
	gpus, nics := wants("gpu", fleet.ClassGPU, 8), wants("nic", fleet.ClassEFA, 32)
	_, err := inv.Request(pod, []*resourceapi.ResourceClaim{claim("all", gpus, nics)}, fleetClasses())
	if want := "claim ml/all: asks for 40 devices, a claim can hold 32"; err == nil || err.Error() != want {
		t.Errorf("one claim: got %v, want %q", err, want)
	}
	request, err := inv.Request(pod, []*resourceapi.ResourceClaim{claim("gpus", gpus), claim("nics", nics)}, fleetClasses())
	if err != nil {
		t.Fatal(err)
	}
	order, ok := inv.Order(machine.Name(), &request, nil)
	if want := (devices.Demand{GPUs: 8, NICs: 32}); !ok || order.Demand.GPUs != want.GPUs || order.Demand.NICs != want.NICs || order.Pairing.Unpaired != 0 || !request.RDMA {
		t.Errorf("two claims: ordered %v, want %+v, %+v, RDMA %v", ok, order.Demand, order.Pairing, request.RDMA)
	}
}
