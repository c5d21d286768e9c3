// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
	"k8s.io/utils/ptr"
)

// simulation is a small random cluster that uses every feature of a ResourceSlice.
type simulation struct {
	*rand.Rand
	// sharing is true if the cluster has NICs that several claims may share.
	sharing     bool
	slices      []*resourceapi.ResourceSlice
	allocations map[types.UID]*resourceapi.AllocationResult
}

func newSimulation(seed uint64) *simulation {
	sim := &simulation{Rand: rand.New(rand.NewPCG(seed, 1)), allocations: map[types.UID]*resourceapi.AllocationResult{}}
	sim.sharing = sim.chance(30)
	for i := range 3 {
		sim.slices = append(sim.slices, sim.nodeSlices(fmt.Sprintf("n%d", i+1))...)
	}
	sim.slices = append(append(sim.slices, sim.multiNode()...), sim.rack()...)
	return sim
}

func (sim *simulation) chance(percent int) bool { return sim.IntN(100) < percent }

// nodeSlices returns one node's pools: GPUs, NICs, perhaps partitions, perhaps split,
// incomplete or of two generations.
func (sim *simulation) nodeSlices(name string) []*resourceapi.ResourceSlice {
	gpus := slice("gpu.nvidia.com", name, sim.gpus()...)
	list := []*resourceapi.ResourceSlice{gpus, slice("dra.net", name, sim.nics()...)}
	if sim.chance(10) {
		list = append(list, sim.partitions(name)...)
	}
	if sim.chance(20) {
		second := slice("gpu.nvidia.com", name, device("gpu-extra", attrs{"type": "gpu", "model": "a"}))
		second.Name += "-2"
		second.Spec.Pool.Generation = int64(1 + sim.IntN(2))
		gpus.Spec.Pool.ResourceSliceCount = int64(1 + sim.IntN(2))
		second.Spec.Pool.ResourceSliceCount = gpus.Spec.Pool.ResourceSliceCount
		list = append(list, second)
	}
	return list
}

func (sim *simulation) gpus() []resourceapi.Device {
	var list []resourceapi.Device
	for i := range 2 + sim.IntN(6) {
		d := device(fmt.Sprintf("gpu-%d", i), attrs{"type": "gpu", "model": []string{"a", "b"}[sim.IntN(2)], numaNode: sim.IntN(2)})
		d.Capacity = map[resourceapi.QualifiedName]resourceapi.DeviceCapacity{"memory": {Value: quantity([]string{"40", "80"}[sim.IntN(2)])}}
		sim.taint(&d)
		list = append(list, d)
	}
	return list
}

func (sim *simulation) nics() []resourceapi.Device {
	var list []resourceapi.Device
	for i := range sim.IntN(7) {
		of := attrs{"dra.net/rdma": sim.chance(80)}
		if sim.chance(80) {
			of[numaNode] = sim.IntN(2)
		}
		d := device(fmt.Sprintf("nic-%d", i), of)
		sim.taint(&d)
		if sim.sharing && sim.chance(40) {
			sim.share(&d)
		}
		list = append(list, d)
	}
	return list
}

func (sim *simulation) taint(d *resourceapi.Device) {
	if sim.chance(15) {
		effects := []resourceapi.DeviceTaintEffect{
			resourceapi.DeviceTaintEffectNoSchedule, resourceapi.DeviceTaintEffectNoExecute, resourceapi.DeviceTaintEffectNone,
		}
		d.Taints = []resourceapi.DeviceTaint{{Key: "broken", Value: "yes", Effect: effects[sim.IntN(3)]}}
	}
}

// share allows several claims to use the device. Each takes some bandwidth.
func (sim *simulation) share(d *resourceapi.Device) {
	d.AllowMultipleAllocations = ptr.To(true)
	capacity := resourceapi.DeviceCapacity{Value: quantity("400")}
	if sim.chance(70) {
		capacity.RequestPolicy = &resourceapi.CapacityRequestPolicy{
			Default:    ptr.To(quantity("100")),
			ValidRange: &resourceapi.CapacityRequestPolicyRange{Min: ptr.To(quantity("100")), Step: ptr.To(quantity("50"))},
		}
	}
	d.Capacity = map[resourceapi.QualifiedName]resourceapi.DeviceCapacity{"bandwidth": capacity}
}

// partitions returns a GPU that can be allocated whole or in two parts. All of these
// consume the same memory.
func (sim *simulation) partitions(node string) []*resourceapi.ResourceSlice {
	part := func(name, kind, memory string) resourceapi.Device {
		d := device(name, attrs{"type": kind, "model": "a"})
		d.ConsumesCounters = []resourceapi.DeviceCounterConsumption{{
			CounterSet: "gpu", Counters: map[string]resourceapi.Counter{"memory": {Value: quantity(memory)}},
		}}
		return d
	}
	parts := slice("gpu.nvidia.com", node, part("whole", "gpu", "80"), part("part-0", "mig", "40"), part("part-1", "mig", "40"))
	counters := slice("gpu.nvidia.com", node)
	counters.Spec.SharedCounters = []resourceapi.CounterSet{{
		Name: "gpu", Counters: map[string]resourceapi.Counter{"memory": {Value: quantity("80")}},
	}}
	for i, slice := range []*resourceapi.ResourceSlice{parts, counters} {
		slice.Name = fmt.Sprintf("%s-parts-%d", node, i)
		slice.Spec.Pool.Name, slice.Spec.Pool.ResourceSliceCount = node+"-parts", 2
	}
	return []*resourceapi.ResourceSlice{parts, counters}
}

// multiNode returns devices on the network, for all nodes or for some.
func (sim *simulation) multiNode() []*resourceapi.ResourceSlice {
	if sim.chance(70) {
		return nil
	}
	published := slice("dra.net", "network", device("far-0", attrs{"dra.net/rdma": true}), device("far-1", attrs{"dra.net/rdma": true}))
	published.Spec.NodeName = nil
	if sim.chance(50) {
		published.Spec.AllNodes = ptr.To(true)
		return []*resourceapi.ResourceSlice{published}
	}
	published.Spec.NodeSelector = &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{"n1", "n2"}}},
	}}}
	return []*resourceapi.ResourceSlice{published}
}

// rack returns one pool with a slice for each of two nodes. The slices may have different
// generations.
func (sim *simulation) rack() []*resourceapi.ResourceSlice {
	if sim.chance(60) {
		return nil
	}
	var list []*resourceapi.ResourceSlice
	for _, name := range []string{"n1", "n2"} {
		published := slice("gpu.nvidia.com", name, device("rack-gpu-"+name, attrs{"type": "gpu", "model": "a"}))
		published.Name = "rack-" + name
		published.Spec.Pool = resourceapi.ResourcePool{Name: "rack", Generation: int64(1 + sim.IntN(5)/4), ResourceSliceCount: 2}
		list = append(list, published)
	}
	return list
}

// allocate allocates some devices, each to its own claim.
func (sim *simulation) allocate(percent int) {
	for _, s := range sim.slices {
		for _, d := range s.Spec.Devices {
			if isWhole(d) && sim.chance(percent) {
				id := s.Spec.Driver + "/" + s.Spec.Pool.Name + "/" + d.Name
				sim.allocations[types.UID(id)] = allocated(id)
			}
		}
	}
}

func isWhole(d resourceapi.Device) bool {
	return d.AllowMultipleAllocations == nil && len(d.ConsumesCounters) == 0
}

// state returns the state that the scheduler's claim tracker would gather.
func (sim *simulation) state() structured.AllocatedState {
	state := structured.AllocatedState{
		AllocatedDevices:         sets.New[structured.DeviceID](),
		AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
		AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
	}
	for _, allocation := range sim.allocations {
		addTo(&state, allocation)
	}
	return state
}

func addTo(state *structured.AllocatedState, allocation *resourceapi.AllocationResult) {
	for _, result := range allocation.Devices.Results {
		id := structured.MakeDeviceID(result.Driver, result.Pool, result.Device)
		if result.ShareID == nil {
			state.AllocatedDevices.Insert(id)
			continue
		}
		state.AllocatedSharedDeviceIDs.Insert(structured.MakeSharedDeviceID(id, result.ShareID))
		state.AggregatedCapacity.Insert(structured.NewDeviceConsumedCapacity(id, result.ConsumedCapacity))
	}
}

// request returns a random request. Its selectors never fail, since the stock allocator
// then returns an error.
func (sim *simulation) request(name string) resourceapi.DeviceRequest {
	if sim.chance(15) {
		return wantsFirst(name, sim.exact(name), sim.exact(name))
	}
	return sim.exact(name)
}

func (sim *simulation) exact(name string) resourceapi.DeviceRequest {
	class := []string{"gpu", "gpu", "mig", "nic", "rdma"}[sim.IntN(5)]
	request := wants(name, class, int64(1+sim.IntN(2)))
	switch {
	case sim.chance(25) && class == "gpu":
		request.Exactly.Selectors = selectors(`"model" in device.attributes["gpu.nvidia.com"] && device.attributes["gpu.nvidia.com"].model == "a"`)
	case sim.chance(25) && class == "gpu":
		request.Exactly.Selectors = selectors(`"memory" in device.capacity["gpu.nvidia.com"] && device.capacity["gpu.nvidia.com"].memory.isGreaterThan(quantity("50"))`)
	case sim.chance(25):
		request.Exactly.Selectors = selectors(`device.attributes["resource.kubernetes.io"].?numaNode.orValue(-1) != 1`)
	}
	if sim.chance(25) {
		request.Exactly.Tolerations = []resourceapi.DeviceToleration{{Key: "broken", Operator: resourceapi.DeviceTolerationOpExists}}
	}
	if sim.chance(10) && class == "nic" {
		request.Exactly.Capacity = &resourceapi.CapacityRequirements{
			Requests: map[resourceapi.QualifiedName]resource.Quantity{"bandwidth": quantity([]string{"100", "120", "500"}[sim.IntN(3)])},
		}
	}
	if sim.chance(15) {
		request.Exactly.AllocationMode, request.Exactly.Count = resourceapi.DeviceAllocationModeAll, 0
	}
	return request
}

// claims returns the claims of one random pod.
func (sim *simulation) claims() []*resourceapi.ResourceClaim {
	var list []*resourceapi.ResourceClaim
	for i := range 1 + sim.IntN(2) {
		c := claim(fmt.Sprintf("claim-%d", i))
		for j := range 1 + sim.IntN(2) {
			c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, sim.request(fmt.Sprintf("r%d", j)))
		}
		if sim.chance(20) {
			match(c, numaNode)
		}
		list = append(list, c)
	}
	return list
}

// mutate changes one slice and calls notify like a watch.
func (sim *simulation) mutate(notify func(set *resourceapi.ResourceSlice, gone string)) {
	i := sim.IntN(len(sim.slices))
	switch sim.IntN(4) {
	case 0:
		notify(nil, sim.slices[i].Name)
		sim.slices = slices.Delete(sim.slices, i, i+1)
		if len(sim.slices) == 0 {
			sim.slices = append(sim.slices, slice("dra.net", "n9", sim.nics()...))
			notify(sim.slices[0], "")
		}
	case 1:
		next := sim.slices[i].DeepCopy()
		if next.Spec.Pool.Generation++; len(next.Spec.Devices) > 1 && isWhole(next.Spec.Devices[0]) {
			next.Spec.Devices = next.Spec.Devices[1:]
		}
		sim.slices[i] = next
		notify(next, "")
	case 2:
		next := sim.slices[i].DeepCopy()
		next.ObjectMeta = metav1.ObjectMeta{Name: fmt.Sprintf("more-%d", sim.IntN(3))}
		if !slices.ContainsFunc(sim.slices, func(s *resourceapi.ResourceSlice) bool { return s.Name == next.Name }) {
			next.Spec.Pool.Name = next.Name
			sim.slices = append(sim.slices, next)
			notify(next, "")
		}
	case 3:
		for _, fresh := range sim.nodeSlices(fmt.Sprintf("n%d", 1+sim.IntN(4))) {
			sim.slices = slices.DeleteFunc(sim.slices, func(s *resourceapi.ResourceSlice) bool { return s.Name == fresh.Name })
			sim.slices = append(sim.slices, fresh)
			notify(fresh, "")
		}
	}
}
