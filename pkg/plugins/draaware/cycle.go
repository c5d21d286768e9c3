// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"fmt"
	"sync"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/structured"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/snapshot"
)

// cycle is one pod's scheduling cycle. Slices of a node are copied for it, and
// the copies put in order when the node is filtered; as the allocator reads a
// node's slices only when asked about that node, no other goroutine looks at them
// until then.
type cycle struct {
	pod       types.UID
	need      devices.Need
	mode      snapshot.Alignment
	inventory *devices.Inventory
	shelves   *devices.Shelves
	// taken are the devices in use when the cycle began.
	taken   *structured.AllocatedState
	planned snapshot.Planned
	// places are the nodes by their number on the shelves, or only the planned one.
	places []place
}

// place is a node that has pools of its own.
type place struct {
	once sync.Once
	// copies are the node's slices as the allocator will see them.
	copies []*resourceapi.ResourceSlice
	look   look
}

// look is what the cycle found on a node.
type look struct {
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

// prepare takes the slices that there are and makes a place for each node.
func (c *cycle) prepare() {
	c.shelves = c.inventory.Shelves()
	n := len(c.shelves.Own)
	if c.planned.Node != "" {
		n = 1
	}
	c.places = make([]place, n)
}

// place finds a node's place; nil if it has no pools of its own, or is not the
// planned one.
func (c *cycle) place(node string) *place {
	switch i, known := c.shelves.Index[node]; {
	case !known:
		return nil
	case c.planned.Node == "":
		return &c.places[i]
	case c.planned.Node == node:
		return &c.places[0]
	}
	return nil
}

// show returns the slices that the pod may see.
func (c *cycle) show() []*resourceapi.ResourceSlice {
	if c.planned.Node != "" {
		var own []*resourceapi.ResourceSlice
		if i, known := c.shelves.Index[c.planned.Node]; known {
			own = c.copies(&c.places[0], c.shelves.Own[i], make([]resourceapi.ResourceSlice, len(c.shelves.Own[i])))
		}
		return append(own[:len(own):len(own)], c.shelves.Rest...)
	}
	shown := make([]*resourceapi.ResourceSlice, 0, c.shelves.Count+len(c.shelves.Rest))
	room := make([]resourceapi.ResourceSlice, c.shelves.Count)
	for i, own := range c.shelves.Own {
		shown = append(shown, c.copies(&c.places[i], own, room[:len(own)])...)
		room = room[len(own):]
	}
	return append(shown, c.shelves.Rest...)
}

// copies puts copies of a node's slices at its place. Only what Filter changes is
// the copies' own: which list of devices they point to.
func (c *cycle) copies(p *place, own []*resourceapi.ResourceSlice, room []resourceapi.ResourceSlice) []*resourceapi.ResourceSlice {
	if c.mode == snapshot.AlignmentNone {
		return own
	}
	p.copies = make([]*resourceapi.ResourceSlice, len(own))
	for i, slice := range own {
		room[i] = *slice
		p.copies[i] = &room[i]
	}
	return p.copies
}

// examine looks at a node, and puts its slices in order, once in a cycle.
func (c *cycle) examine(info fwk.NodeInfo) look {
	p := c.place(info.Node().Name)
	if p == nil {
		return c.judge(c.assess(info))
	}
	p.once.Do(func() {
		found := c.assess(info)
		p.look = c.judge(found)
		if found.Order == nil || c.mode == snapshot.AlignmentNone {
			return
		}
		for _, slice := range p.copies {
			slice.Spec.Devices = found.Order.Arrange(slice).Spec.Devices
		}
	})
	return p.look
}

func (c *cycle) assess(info fwk.NodeInfo) devices.Assessment {
	scalars := info.GetAllocatable().GetScalarResources()
	return c.inventory.Assess(info.Node().Name, &c.need, c.planned.Rail, func(name v1.ResourceName) bool { return scalars[name] > 0 })
}

// judge turns what is known of a node's devices into an answer.
func (c *cycle) judge(found devices.Assessment) look {
	switch {
	case found.Shortage != "":
		return look{refusal: found.Shortage}
	case c.mode == snapshot.AlignmentRequired:
		if refusal := misaligned(found); refusal != "" {
			return look{refusal: refusal}
		}
	}
	return look{score: score(found)}
}

// misaligned says why a node cannot give the pod only NICs beside its GPUs.
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
