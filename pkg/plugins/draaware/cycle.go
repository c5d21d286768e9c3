// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"fmt"
	"slices"
	"sync"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/structured"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// cycle is the data of one pod's scheduling cycle. It has copies of the nodes'
// ResourceSlices, and reorders the devices in a node's copies when that node is filtered.
// The allocator reads a node's slices only to filter that node, so no other goroutine
// reads them earlier.
type cycle struct {
	pod       types.UID
	need      devices.Request
	mode      gangs.Alignment
	inventory *devices.Inventory
	// shown has the devices that the cycle sees: those of inventory, in a dry run perhaps
	// without the devices of some claims.
	shown   shownDevices
	planned cluster.Planned
	// taken are the devices in use at the start of the cycle. For a pod with a planned node
	// (the node that the plan of its gang chose), these are only the devices that this node can
	// use.
	taken *structured.AllocatedState
	// slices are the ResourceSlices of all nodes. places has, at the same indices, the
	// results for the nodes. Both are set for a pod without a planned node.
	slices *devices.NodeSlices
	places []place
	// own and rest are the local and the shared ResourceSlices of the planned node. here
	// has the results for that node.
	own, rest []*resourceapi.ResourceSlice
	here      place
	// paired and unpaired count the NICs that the pod got in Reserve, beside a GPU of the pod
	// and apart from its GPUs. Both are 0 for a pod without GPUs.
	paired, unpaired int
}

// place has the results of a cycle for one node with device pools of its own.
type place struct {
	once sync.Once
	// copies are the copies of the node's slices that the allocator gets.
	copies []*resourceapi.ResourceSlice
	result nodeResult
}

// nodeResult is the result of inspecting a node.
type nodeResult struct {
	// refusal is the reason why the pod cannot use the node, "" if there is none.
	refusal string
	score   int64
}

const cycleKey fwk.StateKey = Name + "/cycle"

// Clone returns c: the results of the nodes are the same for all clones.
func (c *cycle) Clone() fwk.StateData { return c }

func cycleOf(state fwk.CycleState) *cycle {
	data, err := state.Read(cycleKey)
	if err != nil {
		return nil // the pod requests no devices
	}
	c, _ := data.(*cycle)
	return c
}

// prepare reads the slices and the devices in use. For a pod with a planned node it reads
// only those of this node, so the cost does not grow with the cluster.
func (c *cycle) prepare() {
	if c.planned.Node != "" {
		c.own, c.rest = c.inventory.SlicesOn(c.planned.Node)
		c.taken = c.shown.AllocatedOn(c.planned.Node)
		return
	}
	c.slices = c.inventory.NodeSlices()
	c.taken = c.shown.Allocated()
	c.places = make([]place, len(c.slices.Local))
}

// place returns the cycle's results for the node. It returns nil if the node has no
// device pools of its own or is not the planned node.
func (c *cycle) place(node string) *place {
	if c.planned.Node != "" {
		if c.planned.Node != node || len(c.own) == 0 {
			return nil
		}
		return &c.here
	}
	if i, known := c.slices.Index[node]; known {
		return &c.places[i]
	}
	return nil
}

// show returns the ResourceSlices that the in-tree plugin gets for the pod: copies of the
// nodes' own slices, then the slices that nodes share.
func (c *cycle) show() []*resourceapi.ResourceSlice {
	if c.planned.Node != "" {
		own := c.copies(&c.here, c.own, make([]resourceapi.ResourceSlice, len(c.own)))
		return slices.Concat(own, c.rest)
	}
	shown := make([]*resourceapi.ResourceSlice, 0, c.slices.Count+len(c.slices.Shared))
	room := make([]resourceapi.ResourceSlice, c.slices.Count)
	for i, own := range c.slices.Local {
		shown = append(shown, c.copies(&c.places[i], own, room[:len(own)])...)
		room = room[len(own):]
	}
	return append(shown, c.slices.Shared...)
}

// copies makes copies of a node's ResourceSlices and stores them in p. The copies are shallow:
// Filter only replaces the device list of a slice. In the mode AlignmentNone, which reorders
// nothing, it returns the slices themselves.
func (c *cycle) copies(p *place, own []*resourceapi.ResourceSlice, room []resourceapi.ResourceSlice) []*resourceapi.ResourceSlice {
	if c.mode == gangs.AlignmentNone {
		return own
	}
	p.copies = make([]*resourceapi.ResourceSlice, len(own))
	for i, slice := range own {
		room[i] = *slice
		p.copies[i] = &room[i]
	}
	return p.copies
}

// inspectNode rates the node's devices for the pod and reorders them in the node's
// ResourceSlices, once per cycle.
func (c *cycle) inspectNode(info fwk.NodeInfo) nodeResult {
	p := c.place(info.Node().Name)
	if p == nil {
		return c.judge(c.assess(info))
	}
	p.once.Do(func() {
		found := c.assess(info)
		p.result = c.judge(found)
		if found.Order == nil || c.mode == gangs.AlignmentNone {
			return
		}
		for _, slice := range p.copies {
			slice.Spec.Devices = found.Order.Arrange(slice).Spec.Devices
		}
	})
	return p.result
}

func (c *cycle) assess(info fwk.NodeInfo) devices.Assessment {
	scalars := info.GetAllocatable().GetScalarResources()
	return c.shown.Assess(info.Node().Name, &c.need, c.planned.Rail, func(name v1.ResourceName) bool { return scalars[name] > 0 })
}

// judge converts an assessment of the node's devices to a result.
func (c *cycle) judge(found devices.Assessment) nodeResult {
	switch {
	case found.Shortage != "":
		return nodeResult{refusal: found.Shortage}
	case c.mode == gangs.AlignmentRequired:
		if refusal := misaligned(found); refusal != "" {
			return nodeResult{refusal: refusal}
		}
	}
	return nodeResult{score: score(found)}
}

// misaligned returns the reason why the node cannot pair all of the pod's NICs with its
// GPUs, "" if it can.
func misaligned(found devices.Assessment) string {
	want := found.Demand
	switch {
	case want.GPUs == 0 || want.NICs == 0:
		return ""
	case found.Order == nil:
		return fmt.Sprintf("device alignment is required, and which of the %d GPUs and %d NICs are free is not a matter of counts here", want.GPUs, want.NICs)
	case found.Order.Pairing.Unpaired > 0:
		return fmt.Sprintf("device alignment is required, and %d of %d NICs would stand apart from the pod's GPUs", found.Order.Pairing.Unpaired, want.NICs)
	}
	return ""
}

// The maximum points of a node for: the pod's NICs that are paired with its GPUs, its NICs on
// the NUMA node of its GPUs, and GPU-NIC pairs left whole for other pods. scoreNoDevices is the
// score of a node without an order of devices.
const (
	scorePaired    = 60
	scoreOneNUMA   = 20
	scoreUnbroken  = 20
	scoreNoDevices = 0
)

// score rates from 0 to 100 how close to each other the node's GPUs and NICs for the pod can
// be, and how few GPU-NIC pairs of other pods they break.
func score(found devices.Assessment) int64 {
	if found.Order == nil {
		return scoreNoDevices
	}
	pairing, want := &found.Order.Pairing, found.Demand
	broken := max(0, pairing.PairsLost-min(want.GPUs, want.NICs))
	return share(scorePaired, want.NICs, pairing.Unpaired) +
		share(scoreOneNUMA, want.NICs, pairing.Crossing) +
		share(scoreUnbroken, want.GPUs+want.NICs, broken)
}

// share returns the fraction of points that remains if lost of all are lost.
func share(points, all, lost int) int64 {
	if all == 0 {
		return int64(points)
	}
	return int64(points * max(0, all-lost) / all)
}
