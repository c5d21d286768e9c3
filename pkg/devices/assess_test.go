// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

func noPlugin(v1.ResourceName) bool { return false }

// A node is never called short where the stock allocator finds devices, whatever slices, taints, counters, shares and
// constraints say; and it is called short often enough to be worth asking.
func TestShortageNeverContradictsStock(t *testing.T) {
	const worlds, pods = 250, 10
	cache := cel.NewCache(100, cel.Features{EnableConsumableCapacity: true})
	refused, known := 0, 0
	for seed := range uint64(worlds) {
		w := newWorld(3000 + seed)
		w.allocate(20)
		inv := inventory(w.slices...)
		inv.SyncAllocated(w.state())
		oracle := stock{t: t, world: w, cache: cache}
		for range pods {
			claims := w.claims()
			need := mustNeed(t, inv, claims...)
			for _, name := range []string{"n1", "n2", "n3"} {
				short := inv.Assess(name, &need, devices.NoRail, noPlugin).Shortage
				results := oracle.allocate(w.state(), claims, name)
				if short != "" && results != nil {
					t.Fatalf("world %d, node %s: %q, but stock allocates\n%s", seed, name, short, describe(w, claims))
				}
				if results == nil {
					refused++
				}
				if short != "" {
					known++
				}
			}
		}
	}
	t.Logf("stock refused %d times, counts alone knew of %d", refused, known)
	if known*2 < refused {
		t.Errorf("counts knew of %d of %d refusals, want at least half", known, refused)
	}
}

// slowCase is a pod that sends the stock allocator on a long search for nothing.
type slowCase struct {
	machine machine
	taken   []string
	claim   *resourceapi.ResourceClaim
	want    string
}

func slowCases() map[string]slowCase {
	pairs := func(attribute string) *resourceapi.ResourceClaim {
		c := claim("c")
		for i := range 8 {
			gpu, nic := fmt.Sprintf("gpu-%d", i), fmt.Sprintf("nic-%d", i)
			c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, wants(gpu, "gpu", 1), wants(nic, "rdma", 1))
			match(c, attribute, gpu, nic)
		}
		return c
	}
	p5 := machineOf(fleet.P5)
	root := []string{"nic-28", "nic-29", "nic-30", "nic-31"}
	half := make([]string, 16)
	for i := range half {
		half[i] = fmt.Sprintf("nic-%02d", i)
	}
	return map[string]slowCase{
		"8 pairs, the 4 NICs of one root in use": {
			machine: p5, taken: root, claim: pairs(pcieRoot),
			want: "1 of class gpu and 1 of class rdma with one " + pcieRoot + ": 8 wanted, 7 to be had",
		},
		"4 GPUs and 17 NICs, 16 free": {
			machine: p5, taken: half, claim: claim("c", wants("gpu", "gpu", 4), wants("nic", "rdma", 17)),
			want: "devices of class rdma: 17 wanted, 16 free",
		},
		"4 GPUs and 9 NICs where 8 exist": {
			machine: machineOf(fleet.A4), claim: claim("c", wants("gpu", "gpu", 4), wants("nic", "rdma", 9)),
			want: "devices of class rdma: 9 wanted, 8 free",
		},
	}
}

// The known cases that cost the stock allocator most of a second and more are answered from counts in a small part of the
// time that it takes in the same run; it is stopped after a while.
func TestSlowCasesAreAnsweredAtOnce(t *testing.T) {
	const patience, share = 2 * time.Second, 20
	for name, test := range slowCases() {
		t.Run(name, func(t *testing.T) {
			published := test.machine.slices("n1")
			state := structured.AllocatedState{AllocatedDevices: sets.New[structured.DeviceID]()}
			for _, taken := range test.taken {
				state.AllocatedDevices.Insert(structured.MakeDeviceID("dra.net", "n1", taken))
			}
			inv := inventory(published...)
			inv.SyncAllocated(state)
			need := mustNeed(t, inv, test.claim)
			inv.Assess("n1", &need, devices.NoRail, noPlugin) // compiles selectors and judges device shapes, once for all nodes
			best := patience
			for range 5 {
				inv.SyncSlices(test.machine.slices("n1")) // changed slices: nothing is remembered of the node
				began := time.Now()
				got := inv.Assess("n1", &need, devices.NoRail, noPlugin).Shortage
				best = min(best, time.Since(began))
				if got != test.want {
					t.Fatalf("shortage %q, want %q", got, test.want)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			allocator, err := structured.NewAllocator(ctx, stockFeatures, state, standardClasses(), published, cel.NewCache(10, cel.Features{EnableConsumableCapacity: true}))
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			results, err := allocator.Allocate(ctx, node("n1"), []*resourceapi.ResourceClaim{test.claim})
			if err != nil && !errors.Is(err, context.DeadlineExceeded) || results != nil {
				t.Fatalf("stock: %v, %v; want nothing found", results, err)
			}
			stock := time.Since(began)
			t.Logf("counts: %v, stock: %v (stopped: %t)", best, stock.Round(time.Microsecond), err != nil)
			if best > stock/share {
				t.Errorf("counts took %v, want less than a %dth of stock's %v", best, share, stock)
			}
		})
	}
}

// Extended resources that the node's device plugin serves are not missed among its devices.
func TestPluginResourcesAreNotShort(t *testing.T) {
	inv := inventory()
	asking := pod.DeepCopy()
	asking.Spec.Containers = []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{"nvidia.com/gpu": quantity("2")}}}}
	need, err := inv.Need(asking, nil, standardClasses())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := inv.Assess("n1", &need, devices.NoRail, noPlugin).Shortage, "nvidia.com/gpu: 2 wanted, 0 free"; got != want {
		t.Errorf("without a plugin: %q, want %q", got, want)
	}
	if got := inv.Assess("n1", &need, devices.NoRail, func(name v1.ResourceName) bool { return name == "nvidia.com/gpu" }).Shortage; got != "" {
		t.Errorf("with a plugin: %q, want nothing", got)
	}
}

// What Alignment counts of a choice by hand.
func TestAlignment(t *testing.T) {
	tests := map[string]struct {
		held []string
		want devices.Alignment
	}{
		"two pairs":                      {[]string{"gpu.nvidia.com/n1/gpu-0", "dra.net/n1/nic-00", "gpu.nvidia.com/n1/gpu-5", "dra.net/n1/nic-05"}, devices.Alignment{GPUs: 2, NICs: 2}},
		"the neighbour's NIC":            {[]string{"gpu.nvidia.com/n1/gpu-0", "dra.net/n1/nic-01"}, devices.Alignment{GPUs: 1, NICs: 1, Unpaired: 1}},
		"a NIC of the other socket":      {[]string{"gpu.nvidia.com/n1/gpu-0", "dra.net/n1/nic-04"}, devices.Alignment{GPUs: 1, NICs: 1, Unpaired: 1, Crossing: 1}},
		"a device that nobody publishes": {[]string{"gpu.nvidia.com/n1/gpu-0", "dra.net/n1/nic-99"}, devices.Alignment{GPUs: 1}},
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

// Requests that select different devices of one kind get what they select, paired, in whatever order they stand.
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
			if unpaired := c.judge(result); unpaired != 0 || promised.Unpaired != 0 {
				t.Errorf("%d NICs stand apart, %d were promised, want none", unpaired, promised.Unpaired)
			}
		})
	}
}

// A whole p5.48xlarge has more devices than one claim can hold: one claim is refused with that sentence, two are paired
// as if they were one.
func TestWholeP5TakesTwoClaims(t *testing.T) {
	machine := firstNode(t, fleet.P5)
	inv := inventory(machine.Slices()...)
	gpus, nics := wants("gpu", fleet.ClassGPU, 8), wants("nic", fleet.ClassEFA, 32)
	_, err := inv.Need(pod, []*resourceapi.ResourceClaim{claim("all", gpus, nics)}, fleetClasses())
	if want := "claim ml/all: asks for 40 devices, a claim can hold 32"; err == nil || err.Error() != want {
		t.Errorf("one claim: got %v, want %q", err, want)
	}
	need, err := inv.Need(pod, []*resourceapi.ResourceClaim{claim("gpus", gpus), claim("nics", nics)}, fleetClasses())
	if err != nil {
		t.Fatal(err)
	}
	order, ok := inv.Order(machine.Name(), &need, nil)
	if want := (devices.Want{GPUs: 8, NICs: 32}); !ok || order.Want.GPUs != want.GPUs || order.Want.NICs != want.NICs || order.Pairing.Unpaired != 0 || !need.RDMA {
		t.Errorf("two claims: ordered %v, want %+v, %+v, RDMA %v", ok, order.Want, order.Pairing, need.RDMA)
	}
}
