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

// stockFeatures are those of the allocator in Kubernetes 1.37 with default gates.
var stockFeatures = structured.Features{
	AdminAccess: true, PrioritizedList: true, PartitionableDevices: true, DeviceTaints: true, DeviceBindingAndStatus: true,
	ConsumableCapacity: true, FractionalCapacityRange: true,
}

// celCacheSize is more than the distinct selectors of all device classes here.
const celCacheSize = 64

// machine is a node with what is taken of it.
type machine struct {
	index       int
	leaf, spine int
	node        *v1.Node
	info        *framework.NodeInfo
	slices      []*resourceapi.ResourceSlice
	// places is where each device stands, by the hardware's data.
	places map[string]fleet.Place
	// taken are the devices in use; holders says by which pod.
	taken   sets.Set[structured.DeviceID]
	holders map[string]*pod
	free    room
	all     room
	// pairs are the free GPUs that have a free NIC beside them.
	pairs int
}

// room is what a node has, or has left.
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

// cluster is the nodes of a fleet, in its order, and the claims that exist.
type cluster struct {
	spec     fleet.Spec
	machines []*machine
	byName   map[string]*machine
	claims   map[string]*resourceapi.ResourceClaim
	classes  classes
	cel      *cel.Cache
	// told hears of every claim that got or gave back devices.
	told func(claim *resourceapi.ResourceClaim, gone bool)
}

func newCluster(spec fleet.Spec) *cluster {
	c := &cluster{
		spec: spec, byName: map[string]*machine{}, claims: map[string]*resourceapi.ResourceClaim{}, classes: newClasses(),
		cel: cel.NewCache(celCacheSize, cel.Features{EnableConsumableCapacity: true}),
	}
	for n := range spec.All() {
		m := &machine{
			index: len(c.machines), spine: n.Position.Spine, leaf: n.Position.Spine*(spec.Leaves+1) + n.Position.Leaf,
			node: n.Object(), info: framework.NewNodeInfo(), slices: n.Slices(), places: n.Places(),
			taken: sets.New[structured.DeviceID](), holders: map[string]*pod{},
		}
		m.info.SetNode(m.node)
		for _, place := range slices.Sorted(maps.Keys(m.places)) {
			if isGPU(place) {
				m.all.gpus++
			} else {
				m.all.nics++
			}
		}
		allocatable := m.info.GetAllocatable()
		m.all.cpu, m.all.memory = allocatable.GetMilliCPU(), allocatable.GetMemory()
		m.all.pods = int64(allocatable.GetAllowedPodNumber())
		m.free, m.pairs = m.all, m.freePairs()
		c.machines = append(c.machines, m)
		c.byName[m.node.Name] = m
	}
	return c
}

// gpus is how many GPUs the cluster has.
func (c *cluster) gpus() int64 {
	var n int64
	for _, m := range c.machines {
		n += m.all.gpus
	}
	return n
}

func (c *cluster) infos() []fwk.NodeInfo {
	infos := make([]fwk.NodeInfo, len(c.machines))
	for i, m := range c.machines {
		infos[i] = m.info
	}
	return infos
}

// rooms is a sketch of what is free, to try placements on.
func (c *cluster) rooms() []room {
	rooms := make([]room, len(c.machines))
	for i, m := range c.machines {
		rooms[i] = m.free
	}
	return rooms
}

// bind gives the pod devices of the machine, by the stock allocator, which sees
// the machine's slices as they are shown.
func (c *cluster) bind(p *pod, m *machine, shown []*resourceapi.ResourceSlice) error {
	state := structured.AllocatedState{AllocatedDevices: m.taken}
	allocator, err := structured.NewAllocator(context.Background(), stockFeatures, state, c.classes, shown, c.cel)
	if err != nil {
		return fmt.Errorf("making an allocator for pod %s: %w", p.object.Name, err)
	}
	results, err := allocator.Allocate(context.Background(), m.node, []*resourceapi.ResourceClaim{p.claim})
	if err != nil {
		return fmt.Errorf("allocating devices of %s to pod %s: %w", m.node.Name, p.object.Name, err)
	}
	if len(results) != 1 {
		return fmt.Errorf("the allocator finds no devices on %s for pod %s, though counts say there are", m.node.Name, p.object.Name)
	}
	if err := m.hand(p, &results[0]); err != nil {
		return err
	}
	p.claim.Status.Allocation = &results[0]
	c.tell(p.claim, false)
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

// hand notes who holds which device. It trusts nobody: a device that is handed
// out twice, or that the machine does not have, ends the simulation.
func (m *machine) hand(p *pod, result *resourceapi.AllocationResult) error {
	for _, one := range result.Devices.Results {
		_, ours := m.places[one.Device]
		if one.Pool != m.node.Name || !ours {
			return fmt.Errorf("pod %s on %s was given device %s of pool %s", p.object.Name, m.node.Name, one.Device, one.Pool)
		}
		if other := m.holders[one.Device]; other != nil {
			return fmt.Errorf("device %s of %s was given to pods %s and %s", one.Device, m.node.Name, other.object.Name, p.object.Name)
		}
		m.holders[one.Device] = p
		m.taken.Insert(structured.MakeDeviceID(one.Driver, one.Pool, one.Device))
		p.devices = append(p.devices, one.Device)
	}
	if len(result.Devices.Results) != p.shape.gpus+p.shape.nics {
		return fmt.Errorf("pod %s was given %d devices and wants %d GPUs and %d NICs", p.object.Name, len(result.Devices.Results), p.shape.gpus, p.shape.nics)
	}
	return nil
}

// free takes back what the pod holds.
func (c *cluster) free(p *pod) error {
	m := p.machine
	for _, one := range p.claim.Status.Allocation.Devices.Results {
		delete(m.holders, one.Device)
		m.taken.Delete(structured.MakeDeviceID(one.Driver, one.Pool, one.Device))
	}
	if err := m.info.RemovePod(klog.Background(), p.object); err != nil {
		return fmt.Errorf("removing pod %s: %w", p.object.Name, err)
	}
	m.free.take(p.shape, -1)
	m.pairs = m.freePairs()
	p.claim.Status.Allocation = nil
	p.devices, p.machine = nil, nil
	c.tell(p.claim, false)
	return nil
}

func (c *cluster) create(p *pod) { c.claims[p.claim.Name] = p.claim }

func (c *cluster) remove(p *pod) {
	delete(c.claims, p.claim.Name)
	c.tell(p.claim, true)
}

func (c *cluster) tell(claim *resourceapi.ResourceClaim, gone bool) {
	if c.told != nil {
		c.told(claim, gone)
	}
}

// isGPU tells the GPUs of the fleets from their NICs, by name.
func isGPU(device string) bool { return strings.HasPrefix(device, "gpu-") }
