// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/dovetail-dev/dovetail/pkg/devices"
)

// place is where a device stands: GPUs and NICs of one unit belong together.
type place struct{ unit, numa int }

// churnShape is a machine, where its devices stand, and how many NICs its pods take for each GPU.
type churnShape struct {
	machine   machine
	perGPU    int
	gpus, nic []place
}

// byIndex says that GPU i and NIC i/ratio are a pair, and that half of the GPUs stand on each NUMA node.
func byIndex(m machine, nicsPerUnit, gpusPerUnit, perGPU int) churnShape {
	s := churnShape{machine: m, perGPU: perGPU}
	for i := range m.gpus {
		s.gpus = append(s.gpus, place{i / gpusPerUnit, 2 * i / len(m.gpus)})
	}
	for i := range m.nics {
		s.nic = append(s.nic, place{i / nicsPerUnit, 2 * i / len(m.nics)})
	}
	return s
}

// byRoot is a machine of units with one PCIe root each.
func byRoot(units, gpus, nics, perGPU int) churnShape {
	var m machine
	for unit := range units {
		root := fmt.Sprintf("pci0000:%02x", unit)
		for range gpus {
			m.gpus = append(m.gpus, attrs{pcieRoot: root, numaNode: 2 * unit / units})
		}
		for range nics {
			m.nics = append(m.nics, attrs{pcieRoot: root, numaNode: 2 * unit / units, "dra.net/rdma": true})
		}
	}
	return byIndex(m, nics, gpus, perGPU)
}

// withStorage is DGX H100: among the compute NICs stand storage NICs of their own roots.
func withStorage() churnShape {
	s := churnShape{machine: dgxH100(), perGPU: 1}
	units := map[string]int{}
	stand := func(of attrs) place {
		root := of[pcieRoot].(string)
		if _, known := units[root]; !known {
			units[root] = len(units)
		}
		return place{units[root], of[numaNode].(int)}
	}
	for _, gpu := range s.machine.gpus {
		s.gpus = append(s.gpus, stand(gpu))
	}
	for _, nic := range s.machine.nics {
		s.nic = append(s.nic, stand(nic))
	}
	return s
}

// arrival is a pod that comes, and how many arrivals later it goes.
type arrival struct {
	gpus    int
	gpuOnly bool
	stays   int
}

func arrivals(gpuOnlyPercent, count int) []arrival {
	random := rand.New(rand.NewPCG(7, uint64(gpuOnlyPercent)))
	list := make([]arrival, count)
	for i := range list {
		list[i] = arrival{gpus: []int{1, 1, 1, 2, 2, 4}[random.IntN(6)], gpuOnly: random.IntN(100) < gpuOnlyPercent, stays: 1 + random.IntN(8)}
	}
	return list
}

// score is what became of the pods that wanted NICs.
type score struct{ placed, refused, paired, oneNUMA int }

func (s score) String() string {
	percent := func(n int) float64 { return 100 * float64(n) / float64(max(1, s.placed)) }
	return fmt.Sprintf("%5.1f / %5.1f  (%d refused)", percent(s.paired), percent(s.oneNUMA), s.refused)
}

// churn runs arrivals on one node through the stock allocator, which sees the devices in our order or as published.
type churn struct {
	t      *testing.T
	shape  churnShape
	inv    *devices.Inventory
	slices []*resourceapi.ResourceSlice
	cache  *cel.Cache
	ours   bool
	held   map[int]*resourceapi.AllocationResult
	score  score
}

func (c *churn) run(list []arrival) score {
	for i, a := range list {
		for _, gone := range slices.Sorted(maps.Keys(c.held)) {
			if gone+list[gone].stays <= i {
				delete(c.held, gone)
				c.inv.SetAllocation(types.UID(fmt.Sprint(gone)), nil)
			}
		}
		requests := []resourceapi.DeviceRequest{wants("gpu", "gpu", int64(a.gpus))}
		if !a.gpuOnly {
			requests = append(requests, wants("nic", "nic", int64(max(1, a.gpus*c.shape.perGPU))))
		}
		result, promised := c.allocate(claim("c", requests...))
		if result == nil {
			c.score.refused++
			continue
		}
		c.held[i] = result
		c.inv.SetAllocation(types.UID(fmt.Sprint(i)), result)
		if a.gpuOnly {
			continue
		}
		if unpaired := c.judge(result); promised != nil && unpaired != promised.Unpaired {
			c.t.Fatalf("arrival %d: %d NICs stand apart from their GPUs, %d were promised", i, unpaired, promised.Unpaired)
		}
	}
	return c.score
}

// allocate returns what the allocator gives, and what our order promised.
func (c *churn) allocate(wanted *resourceapi.ResourceClaim) (*resourceapi.AllocationResult, *devices.Pairing) {
	state := structured.AllocatedState{AllocatedDevices: sets.New[structured.DeviceID]()}
	for _, allocation := range c.held {
		addTo(&state, allocation)
	}
	shown, promised := c.shown(wanted)
	allocator, err := structured.NewAllocator(c.t.Context(), stockFeatures, state, standardClasses(), shown, c.cache)
	if err != nil {
		c.t.Fatal(err)
	}
	results, err := allocator.Allocate(c.t.Context(), node("n1"), []*resourceapi.ResourceClaim{wanted})
	if err != nil {
		c.t.Fatal(err)
	}
	if results == nil {
		return nil, nil
	}
	return &results[0], promised
}

// shown are the slices as the allocator sees them.
func (c *churn) shown(wanted *resourceapi.ResourceClaim) ([]*resourceapi.ResourceSlice, *devices.Pairing) {
	if !c.ours {
		return c.slices, nil
	}
	need := mustNeed(c.t, c.inv, wanted)
	order, ok := c.inv.Order("n1", &need, nil)
	if !ok {
		return c.slices, nil
	}
	var arranged []*resourceapi.ResourceSlice
	for _, s := range c.slices {
		arranged = append(arranged, order.Arrange(s))
	}
	return arranged, &order.Pairing
}

// judge looks where the pod's NICs stand: beside its GPUs, each with its share, and on their NUMA nodes. It returns how
// many stand apart from the GPUs.
func (c *churn) judge(result *resourceapi.AllocationResult) int {
	var gpus, nics []place
	for _, one := range result.Devices.Results {
		var i int
		if n, _ := fmt.Sscanf(one.Device, "gpu-%d", &i); n == 1 {
			gpus = append(gpus, c.shape.gpus[i])
			continue
		}
		if _, err := fmt.Sscanf(one.Device, "nic-%d", &i); err != nil {
			c.t.Fatal(err)
		}
		nics = append(nics, c.shape.nic[i])
	}
	unpaired := apart(gpus, nics, func(at place) int { return at.unit })
	c.score.placed++
	if unpaired == 0 {
		c.score.paired++
	}
	if apart(gpus, nics, func(at place) int { return at.numa }) == 0 {
		c.score.oneNUMA++
	}
	return unpaired
}

// apart counts the NICs that are more than their share for the GPUs at the same place.
func apart(gpus, nics []place, at func(place) int) int {
	share := (len(nics) + len(gpus) - 1) / len(gpus)
	room := map[int]int{}
	for _, gpu := range gpus {
		room[at(gpu)] += share
	}
	count := 0
	for _, nic := range nics {
		if room[at(nic)]--; room[at(nic)] < 0 {
			count++
		}
	}
	return count
}

// churnCases are the machines, and the share of pods that our order must pair without and with GPU-only pods.
var churnCases = []struct {
	name  string
	shape churnShape
	least map[int]float64
}{
	{"ND H100 v5", byIndex(ndH100v5(), 1, 1, 1), map[int]float64{0: 100, 30: 100}},
	{"p4d", byRoot(4, 2, 1, 1), map[int]float64{0: 100, 30: 96.4}},
	{"p5, 4 NICs a GPU", byRoot(8, 1, 4, 4), map[int]float64{0: 100, 30: 100}},
	{"p5, 1 NIC a GPU", byRoot(8, 1, 4, 1), map[int]float64{0: 100, 30: 100}},
	{"OCI H100, 1 NIC a GPU", byRoot(8, 1, 2, 1), map[int]float64{0: 100, 30: 100}},
	{"A4", byRoot(4, 2, 2, 1), map[int]float64{0: 100, 30: 98.1}},
	{"DGX H100 with storage", withStorage(), map[int]float64{0: 100, 30: 100}},
}

// The share of pods whose NICs all stand beside their GPUs / on the same NUMA node, on one busy node: stock order and
// ours over the same arrivals. What our order promises is what the allocator gives.
func TestChurn(t *testing.T) {
	const count = 800
	cache := cel.NewCache(100, cel.Features{EnableConsumableCapacity: true})
	t.Logf("%-24s %-9s %-32s %s", "machine", "GPU-only", "stock: paired / one NUMA, %", "ours")
	for _, test := range churnCases {
		for _, gpuOnly := range []int{0, 30} {
			list := arrivals(gpuOnly, count)
			run := func(ours bool) score {
				published := test.shape.machine.slices("n1")
				c := churn{t: t, shape: test.shape, inv: inventory(published...), slices: published, cache: cache, ours: ours}
				c.held = map[int]*resourceapi.AllocationResult{}
				return c.run(list)
			}
			stock, ours := run(false), run(true)
			t.Logf("%-24s %-9s %-32s %s", test.name, fmt.Sprintf("%d %%", gpuOnly), stock, strings.TrimSpace(ours.String()))
			if ours.refused > stock.refused {
				t.Errorf("%s, %d%% GPU-only: ours refused %d pods, stock %d", test.name, gpuOnly, ours.refused, stock.refused)
			}
			if share := 100 * float64(ours.paired) / float64(ours.placed); share < test.least[gpuOnly] {
				t.Errorf("%s, %d%% GPU-only: %.1f%% paired, want at least %.1f%%", test.name, gpuOnly, share, test.least[gpuOnly])
			}
		}
	}
}
