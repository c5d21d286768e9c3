// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
)

// maxSlots is the most members (pods of a gang) for which one node is said to have room.
// Sums over all nodes then stay far from overflow.
const maxSlots = 1 << 20

// maxOverlap limits how many needs (requests for devices of some kinds) overlap: there may
// be at most 1<<maxOverlap different sets of kinds and unions of overlapping sets.
const maxOverlap = 10

// kindSet is a sorted set of device kinds, each given by its number.
type kindSet []int

func newKindSet(kinds []int) kindSet {
	s := kindSet(slices.Clone(kinds))
	slices.Sort(s)
	return slices.Compact(s)
}

func (s kindSet) overlaps(o kindSet) bool {
	return slices.ContainsFunc(s, func(k int) bool { return slices.Contains(o, k) })
}

func (s kindSet) within(o kindSet) bool {
	return !slices.ContainsFunc(s, func(k int) bool { return !slices.Contains(o, k) })
}

// dimension is one linear limit of a node: a resource, or the devices of a set of kinds.
// By Hall's theorem the devices meet all needs if and only if each union of the needs'
// kind sets has as many devices as the needs inside it take.
type dimension struct {
	resource int // -1 for devices
	kinds    kindSet
}

func (d *dimension) free(c *class) int64 {
	if d.resource >= 0 {
		return c.resource(d.resource)
	}
	return c.devices(d.kinds)
}

// demand returns how much of the dimension (a resource, or a set of device kinds) a
// member with need n takes.
func (d *dimension) demand(n *Need) int64 {
	if d.resource >= 0 {
		if d.resource < len(n.Resources) {
			return n.Resources[d.resource]
		}
		return 0
	}
	var sum int64
	for i := range n.Devices {
		if n.Devices[i].Count > 0 && newKindSet(n.Devices[i].Kinds).within(d.kinds) {
			sum += int64(n.Devices[i].Count)
		}
	}
	return sum
}

// dimensionsOf lists the dimensions (resources, then sets of device kinds) of which at
// least one of the needs takes an amount. It returns an error if too many device needs
// overlap.
func dimensionsOf(needs []*Need) ([]dimension, error) {
	var dims []dimension
	for r := 0; ; r++ {
		used, more := false, false
		for _, n := range needs {
			more = more || r < len(n.Resources)
			used = used || r < len(n.Resources) && n.Resources[r] > 0
		}
		if !more {
			break
		}
		if used {
			dims = append(dims, dimension{resource: r})
		}
	}
	sets, err := hallSets(needs)
	if err != nil {
		return nil, err
	}
	for _, s := range sets {
		dims = append(dims, dimension{resource: -1, kinds: s})
	}
	return dims, nil
}

// hallSets returns the kind sets of all device needs and the unions of those that
// overlap, without duplicates, in a fixed order. It returns an error if these are more
// than 1<<maxOverlap sets.
func hallSets(needs []*Need) ([]kindSet, error) {
	var base []kindSet
	for _, n := range needs {
		for _, d := range n.Devices {
			if d.Count > 0 {
				base = append(base, newKindSet(d.Kinds))
			}
		}
	}
	slices.SortFunc(base, compareKinds)
	base = slices.CompactFunc(base, slices.Equal[kindSet])
	sets := slices.Clone(base)
	for i := 0; i < len(sets); i++ {
		for _, b := range base {
			if !b.overlaps(sets[i]) || b.within(sets[i]) {
				continue
			}
			u := newKindSet(append(slices.Clone(sets[i]), b...))
			if !slices.ContainsFunc(sets, func(s kindSet) bool { return slices.Equal(s, u) }) {
				sets = append(sets, u)
			}
		}
		if len(sets) > 1<<maxOverlap {
			return nil, fmt.Errorf("device kinds overlap in more than %d ways", 1<<maxOverlap)
		}
	}
	return sets, nil
}

func compareKinds(a, b kindSet) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), slices.Compare(a, b))
}

func (n *Need) hash() uint64 {
	h := hasher(1099511628211)
	h.flag(n.Aligned)
	h.add(int64(n.PerNode))
	for _, v := range withoutTail(n.Resources) {
		h.add(v)
	}
	for i := range n.Devices {
		h.add(-1)
		h.add(int64(n.Devices[i].Count))
		for _, k := range n.Devices[i].Kinds {
			h.add(int64(k))
		}
	}
	return uint64(h)
}

func (n *Need) equal(o *Need) bool {
	return n.Aligned == o.Aligned && n.PerNode == o.PerNode && slices.Equal(withoutTail(n.Resources), withoutTail(o.Resources)) &&
		slices.EqualFunc(n.Devices, o.Devices, func(a, b DeviceNeed) bool {
			return a.Count == b.Count && slices.Equal(a.Kinds, b.Kinds)
		})
}

func (n *Need) clone() Need {
	c := Need{Resources: trimmed(n.Resources), Aligned: n.Aligned, PerNode: n.PerNode, Devices: slices.Clone(n.Devices)}
	for i := range c.Devices {
		c.Devices[i].Kinds = slices.Clone(c.Devices[i].Kinds)
	}
	return c
}

// devices returns the number of devices that one member takes.
func (n *Need) devices() int {
	sum := 0
	for i := range n.Devices {
		sum += n.Devices[i].Count
	}
	return sum
}
