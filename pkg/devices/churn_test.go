// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	// Each figure comes from churnSeeds runs with churnArrivals pods.
	churnSeeds, churnArrivals = 3, 250
)

// churnCase is a machine and the number of NICs per pod. least is the result of ordering in
// the first measurement: the percentage of pods that are fully paired and on one NUMA node,
// by the percentage of pods that request only GPUs. A nil map means no measurement. No case
// may miss a possible pairing.
type churnCase struct {
	name, shape string
	nics        func(gpus int) int
	least       map[int]shares
}

// shares are percentages of the pods that request NICs.
type shares struct{ paired, oneNUMA float64 }

var (
	always  = map[int]shares{0: {100, 100}, 30: {100, 100}}
	oneEach = func(gpus int) int { return gpus }
)

func times(n int) func(int) int { return func(gpus int) int { return n * gpus } }

// If GPUs share NICs, churnCases include pods that no choice can keep paired: GPU-only pods
// leave single GPUs with NICs that are in use.
var churnCases = []churnCase{
	{"ND H100 v5", fleet.NDH100v5, oneEach, always},
	{"ND GB300 v6", fleet.NDGB300v6, oneEach, always},
	{"p4d, 1 NIC for 2 GPUs", fleet.P4d, func(gpus int) int { return (gpus + 1) / 2 }, map[int]shares{0: {100, 100}, 30: {96.4, 97.7}}},
	{"p4d, 1 NIC a GPU", fleet.P4d, oneEach, nil},
	{"p5, 4 NICs a GPU", fleet.P5, times(4), always},
	{"p5, 1 NIC a GPU", fleet.P5, oneEach, always},
	{"A4", fleet.A4, oneEach, map[int]shares{0: {100, 100}, 30: {98.1, 99.2}}},
	{"DGX H100 with storage", fleet.DGXH100, oneEach, always},
	{"OCI H100, 1 NIC a GPU", fleet.OCIH100, oneEach, always},
	{"OCI H100, 2 NICs a GPU", fleet.OCIH100, times(2), always},
	{"OCI GB200, 1 NIC a GPU", fleet.OCIGB200, oneEach, always},
	{"OCI GB200, 2 NICs a GPU", fleet.OCIGB200, times(2), always},
}

// arrival is a pod and the number of later arrivals before it departs.
type arrival struct {
	gpus    int
	gpuOnly bool
	stays   int
}

func arrivals(gpuOnlyPercent, seed, count int) []arrival {
	random := rand.New(rand.NewPCG(uint64(seed), uint64(gpuOnlyPercent)))
	list := make([]arrival, count)
	for i := range list {
		list[i] = arrival{gpus: []int{1, 1, 1, 2, 2, 4}[random.IntN(6)], gpuOnly: random.IntN(100) < gpuOnlyPercent, stays: 1 + random.IntN(8)}
	}
	return list
}

// score counts the pods that requested NICs. possible counts the pods for which free GPUs
// with their NICs existed on arrival. missed counts those of them that did not get such
// devices.
type score struct{ placed, refused, paired, oneNUMA, possible, missed int }

func (s *score) add(other score) {
	s.placed, s.refused = s.placed+other.placed, s.refused+other.refused
	s.paired, s.oneNUMA = s.paired+other.paired, s.oneNUMA+other.oneNUMA
	s.possible, s.missed = s.possible+other.possible, s.missed+other.missed
}

// percent returns n as a percentage of the placed pods.
func (s score) percent(n int) float64 { return 100 * float64(n) / float64(max(1, s.placed)) }

func (s score) String() string {
	return fmt.Sprintf("%5.1f / %5.1f, missed %5.1f, %3d refused", s.percent(s.paired), s.percent(s.oneNUMA), s.percent(s.missed), s.refused)
}

// churn runs arrivals on one node through the stock allocator. The allocator gets the
// devices in our order or as published.
type churn struct {
	t      *testing.T
	name   string
	places map[string]fleet.Place
	nics   func(gpus int) int
	inv    *devices.Inventory
	slices []*resourceapi.ResourceSlice
	cache  *cel.Cache
	ours   bool
	held   map[int]*resourceapi.AllocationResult
	score  score
}

// newChurn returns an idle node of the shape.
func newChurn(t *testing.T, of churnCase, cache *cel.Cache, ours bool) *churn {
	machine := firstNode(t, of.shape)
	return &churn{
		t: t, name: machine.Name(), places: machine.Places(), nics: of.nics, inv: inventory(machine.Slices()...), slices: machine.Slices(),
		cache: cache, ours: ours, held: map[int]*resourceapi.AllocationResult{},
	}
}

func (c *churn) run(list []arrival) score {
	for i, a := range list {
		c.depart(i, list)
		requests := []resourceapi.DeviceRequest{wants("gpu", fleet.ClassGPU, int64(a.gpus))}
		nics := 0
		if !a.gpuOnly {
			nics = c.nics(a.gpus)
			requests = append(requests, wants("nic", fleet.ClassRDMA, int64(nics)))
		}
		possible := c.pairingExists(a.gpus, nics)
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
		unpaired := c.check(result)
		if promised != nil && unpaired != promised.Unpaired {
			c.t.Fatalf("arrival %d: %d NICs are not beside their GPUs, %d were promised", i, unpaired, promised.Unpaired)
		}
		if possible {
			c.score.possible++
			c.score.missed += min(1, unpaired)
		}
	}
	return c.score
}

// depart frees the devices of pods that depart before the next arrival.
func (c *churn) depart(now int, list []arrival) {
	for _, gone := range slices.Sorted(maps.Keys(c.held)) {
		if gone+list[gone].stays <= now {
			delete(c.held, gone)
			c.inv.SetAllocation(types.UID(fmt.Sprint(gone)), nil)
		}
	}
}

// pairingExists tries every way to take GPUs from the hardware's units. It returns true if
// for one of them all NICs are beside the GPUs. It uses the positions and allocations of
// devices, and none of the code under test.
func (c *churn) pairingExists(gpus, nics int) bool {
	type stock struct{ gpus, nics int }
	free := map[int]*stock{}
	held := sets.New[string]()
	for _, allocation := range c.held {
		for _, result := range allocation.Devices.Results {
			held.Insert(result.Device)
		}
	}
	for name, at := range c.places {
		if held.Has(name) || at.Unit == fleet.NoUnit {
			continue
		}
		if free[at.Unit] == nil {
			free[at.Unit] = &stock{}
		}
		if isGPUName(name) {
			free[at.Unit].gpus++
		} else {
			free[at.Unit].nics++
		}
	}
	units := slices.Collect(maps.Values(free))
	share := (nics + gpus - 1) / gpus
	var found func(units []*stock, gpus, nics int) bool
	found = func(units []*stock, gpus, nics int) bool {
		if len(units) == 0 {
			return gpus == 0 && nics <= 0
		}
		for take := range min(units[0].gpus, gpus) + 1 {
			if found(units[1:], gpus-take, nics-min(units[0].nics, take*share)) {
				return true
			}
		}
		return false
	}
	return found(units, gpus, nics)
}

func isGPUName(name string) bool {
	var i int
	n, _ := fmt.Sscanf(name, "gpu-%d", &i)
	return n == 1
}

// allocate returns the allocator's result and the pairing of our order.
func (c *churn) allocate(wanted *resourceapi.ResourceClaim) (*resourceapi.AllocationResult, *devices.Pairing) {
	state := structured.AllocatedState{AllocatedDevices: sets.New[structured.DeviceID]()}
	for _, allocation := range c.held {
		addTo(&state, allocation)
	}
	shown, promised := c.shown(wanted)
	allocator, err := structured.NewAllocator(c.t.Context(), stockFeatures, state, fleetClasses(), shown, c.cache)
	if err != nil {
		c.t.Fatal(err)
	}
	results, err := allocator.Allocate(c.t.Context(), node(c.name), []*resourceapi.ResourceClaim{wanted})
	if err != nil {
		c.t.Fatal(err)
	}
	if results == nil {
		return nil, nil
	}
	return &results[0], promised
}

// shown returns the slices for the allocator and the pairing of our order.
func (c *churn) shown(wanted *resourceapi.ResourceClaim) ([]*resourceapi.ResourceSlice, *devices.Pairing) {
	if !c.ours {
		return c.slices, nil
	}
	request, err := c.inv.Request(pod, []*resourceapi.ResourceClaim{wanted}, fleetClasses())
	if err != nil {
		c.t.Fatal(err)
	}
	order, ok := c.inv.Order(c.name, &request, nil)
	if !ok {
		return c.slices, nil
	}
	var arranged []*resourceapi.ResourceSlice
	for _, s := range c.slices {
		arranged = append(arranged, order.Arrange(s))
	}
	return arranged, &order.Pairing
}

// check counts whether the pod's NICs are beside its GPUs, each GPU with its share, and on
// their NUMA nodes. It returns the number of NICs that are not beside the GPUs.
func (c *churn) check(result *resourceapi.AllocationResult) int {
	var gpus, nics []fleet.Place
	for _, device := range result.Devices.Results {
		if isGPUName(device.Device) {
			gpus = append(gpus, c.places[device.Device])
		} else {
			nics = append(nics, c.places[device.Device])
		}
	}
	unpaired := apart(gpus, nics, func(at fleet.Place) int { return at.Unit })
	c.score.placed++
	if unpaired == 0 {
		c.score.paired++
	}
	if apart(gpus, nics, func(at fleet.Place) int { return at.NUMA }) == 0 {
		c.score.oneNUMA++
	}
	return unpaired
}

// apart counts the NICs beyond the share of the GPUs at the same position.
func apart(gpus, nics []fleet.Place, at func(fleet.Place) int) int {
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

// TestChurn compares stock order and our order over the same arrivals on one busy node. It
// measures the share of pods with all NICs beside their GPUs / on the same NUMA node. The
// allocator must return the devices of our order. Every pod with a possible pairing must
// get one.
func TestChurn(t *testing.T) {
	cache := cel.NewCache(100, cel.Features{EnableConsumableCapacity: true})
	t.Logf("%-24s %-9s %-45s %s", "% of pods that want NICs", "GPU-only", "stock: paired / one NUMA, missed pairings", "ours")
	for _, test := range churnCases {
		for _, gpuOnly := range []int{0, 30} {
			var stock, ours score
			for seed := range churnSeeds {
				list := arrivals(gpuOnly, seed, churnArrivals)
				stock.add(newChurn(t, test, cache, false).run(list))
				ours.add(newChurn(t, test, cache, true).run(list))
			}
			t.Logf("%-24s %-9s %-45s %s", test.name, fmt.Sprintf("%d %%", gpuOnly), stock, ours)
			test.check(t, gpuOnly, stock, ours)
		}
	}
}

func (c churnCase) check(t *testing.T, gpuOnly int, stock, ours score) {
	where := fmt.Sprintf("%s, %d%% GPU-only", c.name, gpuOnly)
	if ours.refused > stock.refused {
		t.Errorf("%s: ours refused %d pods, stock %d", where, ours.refused, stock.refused)
	}
	if ours.missed > 0 {
		t.Errorf("%s: a pairing existed for %d pods, and %d did not get one", where, ours.possible, ours.missed)
	}
	if ours.placed < churnSeeds*churnArrivals/4 {
		t.Errorf("%s: %d pods with NICs were placed, too few to tell anything", where, ours.placed)
	}
	got := shares{ours.percent(ours.paired), ours.percent(ours.oneNUMA)}
	if least := c.least[gpuOnly]; got.paired < least.paired || got.oneNUMA < least.oneNUMA {
		t.Errorf("%s: %.1f / %.1f %%, want at least %.1f / %.1f %%", where, got.paired, got.oneNUMA, least.paired, least.oneNUMA)
	}
}
