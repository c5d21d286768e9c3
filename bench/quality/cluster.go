// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// stockFeatures are the allocator's features in Kubernetes 1.37 with default gates.
var stockFeatures = structured.Features{
	AdminAccess: true, PrioritizedList: true, PartitionableDevices: true, DeviceTaints: true, DeviceBindingAndStatus: true,
	ConsumableCapacity: true, FractionalCapacityRange: true,
}

// celCacheSize is larger than the number of distinct CEL selectors of the device classes.
const celCacheSize = 64

// machine is a node and its allocated resources.
type machine struct {
	index       int
	leaf, spine int
	node        *v1.Node
	info        *framework.NodeInfo
	slices      []*resourceapi.ResourceSlice
	// positions are the positions of the devices in the hardware, by device name.
	positions map[string]fleet.Place
	// allocated are the allocated devices; holders has, by device name, the pod of each.
	allocated sets.Set[structured.DeviceID]
	holders   map[string]*pod
	free      room
	capacity  room
	// pairs is the number of free GPUs that have a free NIC in their alignment unit (a GPU
	// and its NICs).
	pairs int
}

// room is a node's capacity, or the free part of it.
type room struct{ gpus, nics, cpu, memory, pods int64 }

func (r room) holds(p shape) bool {
	return r.gpus >= int64(p.gpus) && r.nics >= int64(p.nics) && r.cpu >= p.cpu() && r.memory >= p.memory() && r.pods >= 1
}

func (r *room) take(p shape, times int64) {
	r.gpus -= times * int64(p.gpus)
	r.nics -= times * int64(p.nics)
	r.cpu -= times * p.cpu()
	r.memory -= times * p.memory()
	r.pods -= times
}

// simulatedCluster holds the nodes of a fleet, in its order, and all claims.
type simulatedCluster struct {
	spec     fleet.Spec
	machines []*machine
	byName   map[string]*machine
	claims   map[string]*resourceapi.ResourceClaim
	classes  classes
	cel      *cel.Cache
	// claimChanged is called for every claim whose devices were allocated or released.
	claimChanged func(claim *resourceapi.ResourceClaim, deleted bool)
}

func newSimulatedCluster(spec fleet.Spec) *simulatedCluster {
	c := &simulatedCluster{
		spec: spec, byName: map[string]*machine{}, claims: map[string]*resourceapi.ResourceClaim{}, classes: newClasses(),
		cel: cel.NewCache(celCacheSize, cel.Features{EnableConsumableCapacity: true}),
	}
	for n := range spec.All() {
		m := &machine{
			index: len(c.machines), spine: n.Position.Spine, leaf: n.Position.Spine*(spec.Leaves+1) + n.Position.Leaf,
			node: n.Object(), info: framework.NewNodeInfo(), slices: n.Slices(), positions: n.Places(),
			allocated: sets.New[structured.DeviceID](), holders: map[string]*pod{},
		}
		m.info.SetNode(m.node)
		for _, place := range slices.Sorted(maps.Keys(m.positions)) {
			if isGPU(place) {
				m.capacity.gpus++
			} else {
				m.capacity.nics++
			}
		}
		allocatable := m.info.GetAllocatable()
		m.capacity.cpu, m.capacity.memory = allocatable.GetMilliCPU(), allocatable.GetMemory()
		m.capacity.pods = int64(allocatable.GetAllowedPodNumber())
		m.free, m.pairs = m.capacity, m.freePairs()
		c.machines = append(c.machines, m)
		c.byName[m.node.Name] = m
	}
	return c
}

// gpus returns the number of GPUs of the cluster.
func (c *simulatedCluster) gpus() int64 {
	var n int64
	for _, m := range c.machines {
		n += m.capacity.gpus
	}
	return n
}

func (c *simulatedCluster) infos() []fwk.NodeInfo {
	infos := make([]fwk.NodeInfo, len(c.machines))
	for i, m := range c.machines {
		infos[i] = m.info
	}
	return infos
}

// rooms returns a copy of the free room of each machine. Callers use it to try placements.
func (c *simulatedCluster) rooms() []room {
	rooms := make([]room, len(c.machines))
	for i, m := range c.machines {
		rooms[i] = m.free
	}
	return rooms
}

// bind binds the pod to the machine. The stock allocator chooses devices from the given
// slices, in their order.
func (c *simulatedCluster) bind(p *pod, m *machine, slices []*resourceapi.ResourceSlice) error {
	state := structured.AllocatedState{AllocatedDevices: m.allocated}
	allocator, err := structured.NewAllocator(context.Background(), stockFeatures, state, c.classes, slices, c.cel)
	if err != nil {
		return fmt.Errorf("making an allocator for pod %s: %w", p.object.Name, err)
	}
	results, err := allocator.Allocate(context.Background(), m.node, []*resourceapi.ResourceClaim{p.claim})
	if err != nil {
		return fmt.Errorf("allocating devices of %s to pod %s: %w", m.node.Name, p.object.Name, err)
	}
	if len(results) != 1 {
		return fmt.Errorf("the allocator finds no devices on %s for pod %s, but by counts there is room", m.node.Name, p.object.Name)
	}
	if err := m.assignDevices(p, &results[0]); err != nil {
		return err
	}
	p.claim.Status.Allocation = &results[0]
	c.notify(p.claim, false)
	info, err := framework.NewPodInfo(p.object)
	if err != nil {
		return fmt.Errorf("reading pod %s: %w", p.object.Name, err)
	}
	m.info.AddPodInfo(info)
	m.free.take(p.shape, 1)
	m.pairs = m.freePairs()
	p.machine = m
	return nil
}

// assignDevices records the pod as the holder of each of its devices. It returns an error
// if a device is allocated twice or does not exist on the machine.
func (m *machine) assignDevices(p *pod, result *resourceapi.AllocationResult) error {
	for _, device := range result.Devices.Results {
		_, exists := m.positions[device.Device]
		if device.Pool != m.node.Name || !exists {
			return fmt.Errorf("pod %s on %s has device %s of pool %s", p.object.Name, m.node.Name, device.Device, device.Pool)
		}
		if other := m.holders[device.Device]; other != nil {
			return fmt.Errorf("device %s of %s is allocated to pods %s and %s", device.Device, m.node.Name, other.object.Name, p.object.Name)
		}
		m.holders[device.Device] = p
		m.allocated.Insert(structured.MakeDeviceID(device.Driver, device.Pool, device.Device))
		p.devices = append(p.devices, device.Device)
	}
	if len(result.Devices.Results) != p.shape.gpus+p.shape.nics {
		return fmt.Errorf("pod %s has %d devices and requests %d GPUs and %d NICs", p.object.Name, len(result.Devices.Results), p.shape.gpus, p.shape.nics)
	}
	return nil
}

// unbind removes the pod from its machine and releases its devices.
func (c *simulatedCluster) unbind(p *pod) error {
	m := p.machine
	for _, device := range p.claim.Status.Allocation.Devices.Results {
		delete(m.holders, device.Device)
		m.allocated.Delete(structured.MakeDeviceID(device.Driver, device.Pool, device.Device))
	}
	if err := m.info.RemovePod(klog.Background(), p.object); err != nil {
		return fmt.Errorf("removing pod %s: %w", p.object.Name, err)
	}
	m.free.take(p.shape, -1)
	m.pairs = m.freePairs()
	p.claim.Status.Allocation = nil
	p.devices, p.machine = nil, nil
	c.notify(p.claim, false)
	return nil
}

func (c *simulatedCluster) create(p *pod) { c.claims[p.claim.Name] = p.claim }

func (c *simulatedCluster) remove(p *pod) {
	delete(c.claims, p.claim.Name)
	c.notify(p.claim, true)
}

func (c *simulatedCluster) notify(claim *resourceapi.ResourceClaim, deleted bool) {
	if c.claimChanged != nil {
		c.claimChanged(claim, deleted)
	}
}

// isGPU reports whether a device of the fleets is a GPU, by its name. Other devices are
// NICs.
func isGPU(device string) bool { return strings.HasPrefix(device, "gpu-") }
