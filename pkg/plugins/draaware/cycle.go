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

// cycle is one pod's scheduling cycle. Slices of a node are copied for it, and
// the copies put in order when the node is filtered; as the allocator reads a
// node's slices only when asked about that node, no other goroutine looks at them
// until then.
type cycle struct {
	pod       types.UID
	need      devices.Request
	mode      gangs.Alignment
	inventory *devices.Inventory
	planned   cluster.Planned
	// taken are the devices in use when the cycle began: all, or those that the
	// planned node can be about.
	taken *structured.AllocatedState
	// slices and places, by the same number, are for a pod that may go to any node.
	slices *devices.NodeSlices
	places []place
	// own and rest are the slices that a planned pod may see, and here the place of
	// its node.
	own, rest []*resourceapi.ResourceSlice
	here      place
}

// place is a node that has pools of its own.
type place struct {
	once sync.Once
	// copies are the node's slices as the allocator will see them.
	copies []*resourceapi.ResourceSlice
	result nodeResult
}

// nodeResult is what the cycle found on a node.
type nodeResult struct {
	// refusal is why the pod cannot use the node, "" if nothing speaks against it.
	refusal string
	score   int64
}

const cycleKey fwk.StateKey = Name + "/cycle"

// Clone returns c: nodes answer the same to every clone.
func (c *cycle) Clone() fwk.StateData { return c }

func cycleOf(state fwk.CycleState) *cycle {
	data, err := state.Read(cycleKey)
	if err != nil {
		return nil // the pod wants no devices
	}
	c, _ := data.(*cycle)
	return c
}

// prepare takes the slices that there are and what is in use of them. For a
// planned pod that is what one node needs, however large the cluster is.
func (c *cycle) prepare() {
	if c.planned.Node != "" {
		c.own, c.rest = c.inventory.SlicesOn(c.planned.Node)
		c.taken = c.inventory.AllocatedOn(c.planned.Node)
		return
	}
	c.slices = c.inventory.NodeSlices()
	c.taken = c.inventory.Allocated()
	c.places = make([]place, len(c.slices.Local))
}

// place finds a node's place; nil if it has no pools of its own, or is not the
// planned one.
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

// show returns the slices that the pod may see.
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

// copies puts copies of a node's slices at its place. Only what Filter changes is
// the copies' own: which list of devices they point to.
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

// inspectNode looks at a node, and puts its slices in order, once in a cycle.
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
	return c.inventory.Assess(info.Node().Name, &c.need, c.planned.Rail, func(name v1.ResourceName) bool { return scalars[name] > 0 })
}

// judge claimLocks what is known of a node's devices into an answer.
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

// misaligned returns why a node cannot give the pod only NICs beside its GPUs.
func misaligned(found devices.Assessment) string {
	want := found.Want
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

// The parts of a node's score: how many of the pod's NICs stand beside its GPUs,
// or at least on their NUMA node, and how few pairs that others could use are
// broken.
const (
	scorePaired    = 60
	scoreOneNUMA   = 20
	scoreUnbroken  = 20
	scoreNoDevices = 0
)

// score says between 0 and 100 how well the node can align the pod's devices.
func score(found devices.Assessment) int64 {
	if found.Order == nil {
		return scoreNoDevices
	}
	pairing, want := &found.Order.Pairing, found.Want
	broken := max(0, pairing.PairsLost-min(want.GPUs, want.NICs))
	return share(scorePaired, want.NICs, pairing.Unpaired) +
		share(scoreOneNUMA, want.NICs, pairing.Crossing) +
		share(scoreUnbroken, want.GPUs+want.NICs, broken)
}

// share is the part of points that is left when some of all are lost.
func share(points, all, lost int) int64 {
	if all == 0 {
		return int64(points)
	}
	return int64(points * max(0, all-lost) / all)
}
