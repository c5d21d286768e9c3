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

// world is a small random cluster with everything that a ResourceSlice can say.
type world struct {
	*rand.Rand
	// sharing worlds have NICs that several claims may share.
	sharing     bool
	slices      []*resourceapi.ResourceSlice
	allocations map[types.UID]*resourceapi.AllocationResult
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), allocations: map[types.UID]*resourceapi.AllocationResult{}}
	w.sharing = w.chance(30)
	for i := range 3 {
		w.slices = append(w.slices, w.nodeSlices(fmt.Sprintf("n%d", i+1))...)
	}
	w.slices = append(append(w.slices, w.reaching()...), w.rack()...)
	return w
}

func (w *world) chance(percent int) bool { return w.IntN(100) < percent }

// nodeSlices are one node's pools: GPUs, NICs, perhaps partitions, perhaps split, incomplete or of two generations.
func (w *world) nodeSlices(name string) []*resourceapi.ResourceSlice {
	gpus := slice("gpu.nvidia.com", name, w.gpus()...)
	list := []*resourceapi.ResourceSlice{gpus, slice("dra.net", name, w.nics()...)}
	if w.chance(10) {
		list = append(list, w.partitions(name)...)
	}
	if w.chance(20) {
		second := slice("gpu.nvidia.com", name, device("gpu-extra", attrs{"type": "gpu", "model": "a"}))
		second.Name += "-2"
		second.Spec.Pool.Generation = int64(1 + w.IntN(2))
		gpus.Spec.Pool.ResourceSliceCount = int64(1 + w.IntN(2))
		second.Spec.Pool.ResourceSliceCount = gpus.Spec.Pool.ResourceSliceCount
		list = append(list, second)
	}
	return list
}

func (w *world) gpus() []resourceapi.Device {
	var list []resourceapi.Device
	for i := range 2 + w.IntN(6) {
		d := device(fmt.Sprintf("gpu-%d", i), attrs{"type": "gpu", "model": []string{"a", "b"}[w.IntN(2)], numaNode: w.IntN(2)})
		d.Capacity = map[resourceapi.QualifiedName]resourceapi.DeviceCapacity{"memory": {Value: quantity([]string{"40", "80"}[w.IntN(2)])}}
		w.taint(&d)
		list = append(list, d)
	}
	return list
}

func (w *world) nics() []resourceapi.Device {
	var list []resourceapi.Device
	for i := range w.IntN(7) {
		of := attrs{"dra.net/rdma": w.chance(80)}
		if w.chance(80) {
			of[numaNode] = w.IntN(2)
		}
		d := device(fmt.Sprintf("nic-%d", i), of)
		w.taint(&d)
		if w.sharing && w.chance(40) {
			w.share(&d)
		}
		list = append(list, d)
	}
	return list
}

func (w *world) taint(d *resourceapi.Device) {
	if w.chance(15) {
		effects := []resourceapi.DeviceTaintEffect{
			resourceapi.DeviceTaintEffectNoSchedule, resourceapi.DeviceTaintEffectNoExecute, resourceapi.DeviceTaintEffectNone,
		}
		d.Taints = []resourceapi.DeviceTaint{{Key: "broken", Value: "yes", Effect: effects[w.IntN(3)]}}
	}
}

// share lets several claims use the device, each taking bandwidth.
func (w *world) share(d *resourceapi.Device) {
	d.AllowMultipleAllocations = ptr.To(true)
	capacity := resourceapi.DeviceCapacity{Value: quantity("400")}
	if w.chance(70) {
		capacity.RequestPolicy = &resourceapi.CapacityRequestPolicy{
			Default:    ptr.To(quantity("100")),
			ValidRange: &resourceapi.CapacityRequestPolicyRange{Min: ptr.To(quantity("100")), Step: ptr.To(quantity("50"))},
		}
	}
	d.Capacity = map[resourceapi.QualifiedName]resourceapi.DeviceCapacity{"bandwidth": capacity}
}

// partitions is a GPU that can be had whole or in two parts, all drawing on the same memory.
func (w *world) partitions(node string) []*resourceapi.ResourceSlice {
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
	for i, one := range []*resourceapi.ResourceSlice{parts, counters} {
		one.Name = fmt.Sprintf("%s-parts-%d", node, i)
		one.Spec.Pool.Name, one.Spec.Pool.ResourceSliceCount = node+"-parts", 2
	}
	return []*resourceapi.ResourceSlice{parts, counters}
}

// reaching are devices on the network, for all nodes or for some.
func (w *world) reaching() []*resourceapi.ResourceSlice {
	if w.chance(70) {
		return nil
	}
	one := slice("dra.net", "network", device("far-0", attrs{"dra.net/rdma": true}), device("far-1", attrs{"dra.net/rdma": true}))
	one.Spec.NodeName = nil
	if w.chance(50) {
		one.Spec.AllNodes = ptr.To(true)
		return []*resourceapi.ResourceSlice{one}
	}
	one.Spec.NodeSelector = &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{"n1", "n2"}}},
	}}}
	return []*resourceapi.ResourceSlice{one}
}

// rack is one pool with a slice for each of two nodes, perhaps not both of the same generation.
func (w *world) rack() []*resourceapi.ResourceSlice {
	if w.chance(60) {
		return nil
	}
	var list []*resourceapi.ResourceSlice
	for _, name := range []string{"n1", "n2"} {
		one := slice("gpu.nvidia.com", name, device("rack-gpu-"+name, attrs{"type": "gpu", "model": "a"}))
		one.Name = "rack-" + name
		one.Spec.Pool = resourceapi.ResourcePool{Name: "rack", Generation: int64(1 + w.IntN(5)/4), ResourceSliceCount: 2}
		list = append(list, one)
	}
	return list
}

// allocate gives some devices away, each to a claim of its own.
func (w *world) allocate(percent int) {
	for _, s := range w.slices {
		for _, d := range s.Spec.Devices {
			if isWhole(d) && w.chance(percent) {
				id := s.Spec.Driver + "/" + s.Spec.Pool.Name + "/" + d.Name
				w.allocations[types.UID(id)] = allocated(id)
			}
		}
	}
}

func isWhole(d resourceapi.Device) bool {
	return d.AllowMultipleAllocations == nil && len(d.ConsumesCounters) == 0
}

// state is what the scheduler's claim tracker would gather.
func (w *world) state() structured.AllocatedState {
	state := structured.AllocatedState{
		AllocatedDevices:         sets.New[structured.DeviceID](),
		AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
		AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
	}
	for _, allocation := range w.allocations {
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

// request is a random request; its selectors never fail, since stock gives up where they do.
func (w *world) request(name string) resourceapi.DeviceRequest {
	if w.chance(15) {
		return wantsFirst(name, w.exact(name), w.exact(name))
	}
	return w.exact(name)
}

func (w *world) exact(name string) resourceapi.DeviceRequest {
	class := []string{"gpu", "gpu", "mig", "nic", "rdma"}[w.IntN(5)]
	one := wants(name, class, int64(1+w.IntN(2)))
	switch {
	case w.chance(25) && class == "gpu":
		one.Exactly.Selectors = selectors(`"model" in device.attributes["gpu.nvidia.com"] && device.attributes["gpu.nvidia.com"].model == "a"`)
	case w.chance(25) && class == "gpu":
		one.Exactly.Selectors = selectors(`"memory" in device.capacity["gpu.nvidia.com"] && device.capacity["gpu.nvidia.com"].memory.isGreaterThan(quantity("50"))`)
	case w.chance(25):
		one.Exactly.Selectors = selectors(`device.attributes["resource.kubernetes.io"].?numaNode.orValue(-1) != 1`)
	}
	if w.chance(25) {
		one.Exactly.Tolerations = []resourceapi.DeviceToleration{{Key: "broken", Operator: resourceapi.DeviceTolerationOpExists}}
	}
	if w.chance(10) && class == "nic" {
		one.Exactly.Capacity = &resourceapi.CapacityRequirements{
			Requests: map[resourceapi.QualifiedName]resource.Quantity{"bandwidth": quantity([]string{"100", "120", "500"}[w.IntN(3)])},
		}
	}
	if w.chance(15) {
		one.Exactly.AllocationMode, one.Exactly.Count = resourceapi.DeviceAllocationModeAll, 0
	}
	return one
}

// claims are what one random pod asks for.
func (w *world) claims() []*resourceapi.ResourceClaim {
	var list []*resourceapi.ResourceClaim
	for i := range 1 + w.IntN(2) {
		c := claim(fmt.Sprintf("claim-%d", i))
		for j := range 1 + w.IntN(2) {
			c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, w.request(fmt.Sprintf("r%d", j)))
		}
		if w.chance(20) {
			match(c, numaNode)
		}
		list = append(list, c)
	}
	return list
}

// mutate changes one thing and tells the inventory by the way that a watch would.
func (w *world) mutate(tell func(set *resourceapi.ResourceSlice, gone string)) {
	i := w.IntN(len(w.slices))
	switch w.IntN(4) {
	case 0:
		tell(nil, w.slices[i].Name)
		w.slices = slices.Delete(w.slices, i, i+1)
		if len(w.slices) == 0 {
			w.slices = append(w.slices, slice("dra.net", "n9", w.nics()...))
			tell(w.slices[0], "")
		}
	case 1:
		next := w.slices[i].DeepCopy()
		if next.Spec.Pool.Generation++; len(next.Spec.Devices) > 1 && isWhole(next.Spec.Devices[0]) {
			next.Spec.Devices = next.Spec.Devices[1:]
		}
		w.slices[i] = next
		tell(next, "")
	case 2:
		next := w.slices[i].DeepCopy()
		next.ObjectMeta = metav1.ObjectMeta{Name: fmt.Sprintf("more-%d", w.IntN(3))}
		if !slices.ContainsFunc(w.slices, func(s *resourceapi.ResourceSlice) bool { return s.Name == next.Name }) {
			next.Spec.Pool.Name = next.Name
			w.slices = append(w.slices, next)
			tell(next, "")
		}
	case 3:
		for _, fresh := range w.nodeSlices(fmt.Sprintf("n%d", 1+w.IntN(4))) {
			w.slices = slices.DeleteFunc(w.slices, func(s *resourceapi.ResourceSlice) bool { return s.Name == fresh.Name })
			w.slices = append(w.slices, fresh)
			tell(fresh, "")
		}
	}
}
