// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
)

// Occupant is a set of running pods that leave their nodes together, or not at all: one
// member beyond the minimum of a gang, all other members of that gang, or a single pod. An
// occupant may also stand for a device that several occupants share. Such an occupant has no
// pods and no cost, and its After names all users of the device.
type Occupant struct {
	// Name identifies the occupant. The order of names decides between occupants of equal cost.
	Name string
	// Breaches is the number of limits on evictions, such as PodDisruptionBudgets, that the
	// eviction of the occupant breaks. Priority is the priority of its pods. Cost has the
	// further costs of its eviction, most important first, in units that the caller chooses.
	// Missing terms are zero.
	//
	// The cost of a set of occupants is a vector: the sum of Breaches, the largest Priority,
	// and the sum of each term of Cost. The first term that differs decides. Breaches and
	// Cost must not be negative, so that no set costs less than a part of it.
	Breaches int64
	Priority int64
	Cost     []int64
	// Uses is what the occupant takes, by node. Several entries may name the same node.
	Uses []Usage
	// After names the occupants that must leave before this one or at the same time. For
	// example, the members of a gang beyond its minimum leave before its other members.
	After []string
	// Leaving is true if the occupant's pods are already being deleted. The planner counts no
	// cost for it.
	Leaving bool
	// Ends is the time at which the occupant's pods end without an eviction, 0 if that is
	// unknown. The caller chooses the unit and the origin of times. All times are above 0.
	Ends int64
}

// Usage is what pods take of one node, and what becomes free when they leave.
type Usage struct {
	// Node is the node's name. A Usage of a node that does not exist has no effect.
	Node string
	// Resources has the amounts by index in Layout.Resources. Missing entries are zero.
	Resources []int64
	// Units has the number of devices of each kind that the pods take, by alignment unit
	// (devices close to each other, such as those of a PCIe root), with the indices of
	// NodeSpec.Units.
	Units []Unit
}

// checkOccupants returns the first fault in a list of occupants, or nil. A fault is an
// empty name, a name that another occupant has, a negative amount, cost or end, more amounts
// than the layout has resources or device kinds, or an occupant in After that does not exist
// or that must leave after this one.
func checkOccupants(l *Layout, list []Occupant) *fault {
	index := make(map[string]int, len(list))
	for i := range list {
		o := &list[i]
		if _, taken := index[o.Name]; taken || o.Name == "" {
			return faultf("occupant "+o.Name, "its name is empty or taken")
		}
		index[o.Name] = i
		if f := o.check(l); f != nil {
			return f
		}
	}
	return checkOrder(list, index)
}

func (o *Occupant) check(l *Layout) *fault {
	at := "occupant " + o.Name
	if o.Breaches < 0 || slices.ContainsFunc(o.Cost, func(v int64) bool { return v < 0 }) {
		return faultf(at, "its cost is negative")
	}
	if o.Ends < 0 {
		return faultf(at, "its end is negative")
	}
	for i := range o.Uses {
		if f := o.Uses[i].check(l, at); f != nil {
			return f
		}
	}
	return nil
}

func (u *Usage) check(l *Layout, at string) *fault {
	if len(withoutTail(u.Resources)) > len(l.Resources) {
		return faultf(at, "%d amounts for %d resources", len(u.Resources), len(l.Resources))
	}
	negative := slices.ContainsFunc(u.Resources, func(v int64) bool { return v < 0 })
	for i := range u.Units {
		if len(u.Units[i].Free) > len(l.Kinds) {
			return faultf(at, "%d counts for %d kinds", len(u.Units[i].Free), len(l.Kinds))
		}
		negative = negative || slices.ContainsFunc(u.Units[i].Free, func(v int) bool { return v < 0 })
	}
	if negative {
		return faultf(at, "it takes a negative amount of node %s", u.Node)
	}
	return nil
}

// checkOrder returns a fault if After names an occupant that does not exist, or if occupants
// must leave after each other (a cycle in After).
func checkOrder(list []Occupant, index map[string]int) *fault {
	waiting := make([]int, len(list)) // by occupant, how many in its After have not left
	next := make([][]int, len(list))
	var leaving []int
	for i := range list {
		for _, name := range list[i].After {
			other, ok := index[name]
			if !ok {
				return faultf("occupant "+list[i].Name, "occupant %q in after does not exist", name)
			}
			waiting[i]++
			next[other] = append(next[other], i)
		}
		if waiting[i] == 0 {
			leaving = append(leaving, i)
		}
	}
	for i := 0; i < len(leaving); i++ {
		for _, k := range next[leaving[i]] {
			if waiting[k]--; waiting[k] == 0 {
				leaving = append(leaving, k)
			}
		}
	}
	if len(leaving) < len(list) {
		return faultf("occupants", "%d of them must leave after each other", len(list)-len(leaving))
	}
	return nil
}

// Without returns a State that begins as the snapshot without the occupants whose indices are
// in gone: what they used is free. It returns an error if an occupant is invalid.
func (s *Snapshot) Without(occupants []Occupant, gone []int) (*State, error) {
	if f := checkOccupants(&s.layout, occupants); f != nil {
		return nil, fmt.Errorf("%s: %s", f.subject, f.detail)
	}
	var freed []usageAt
	for _, i := range gone {
		freed = append(freed, usesAt(s.fabric, occupants[i].Uses)...)
	}
	return s.freeing(freed), nil
}

// freeing returns a fork of the snapshot in which the usages are free. It sorts freed.
func (s *Snapshot) freeing(freed []usageAt) *State {
	fork := s.Fork()
	fork.give(freed)
	return fork
}

// usageAt is a Usage with the position of its node in fabric order (the order of the tree).
type usageAt struct {
	pos int32
	*Usage
}

// usesAt returns the usages of nodes that exist, in fabric order.
func usesAt(f *fabric, uses []Usage) []usageAt {
	out := make([]usageAt, 0, len(uses))
	for i := range uses {
		if pos, ok := f.pos(uses[i].Node); ok {
			out = append(out, usageAt{pos, &uses[i]})
		}
	}
	if inOrder := func(a, b usageAt) int { return cmp.Compare(a.pos, b.pos) }; !slices.IsSortedFunc(out, inOrder) {
		slices.SortStableFunc(out, inOrder)
	}
	return out
}

// give frees what the usages take: it adds them, in any order, to the free amounts of their
// nodes. The State must be a fork in which no node was added, removed or moved.
func (s *State) give(freed []usageAt) {
	slices.SortFunc(freed, func(a, b usageAt) int { return cmp.Compare(a.pos, b.pos) })
	var free class
	for i := 0; i < len(freed); {
		pos := freed[i].pos
		free.copyFrom(s.pages.at(pos))
		for ; i < len(freed) && freed[i].pos == pos; i++ {
			free.add(freed[i].Usage, 1)
		}
		s.replace(pos, &NodeSpec{Free: free.free, Units: free.units, Unschedulable: free.unschedulable})
	}
}

// copyFrom copies the free capacity of class o (nodes of equal free capacity) to c. It reuses
// the memory of c, and does not copy the fields for a State's table of classes.
func (c *class) copyFrom(o *class) {
	c.free, c.kinds, c.unschedulable = append(c.free[:0], o.free...), append(c.kinds[:0], o.kinds...), o.unschedulable
	for len(c.units) < len(o.units) {
		c.units = append(c.units, Unit{})
	}
	c.units = c.units[:len(o.units)]
	for i := range o.units {
		c.units[i].Free = append(c.units[i].Free[:0], o.units[i].Free...)
	}
}

// add adds what a usage takes to the free capacity of a class, or subtracts it if sign is -1.
// The class must not be in a State's table of classes.
func (c *class) add(u *Usage, sign int64) {
	for len(c.free) < len(u.Resources) {
		c.free = append(c.free, 0)
	}
	for r, v := range u.Resources {
		c.free[r] += sign * v
	}
	for len(c.units) < len(u.Units) {
		c.units = append(c.units, Unit{})
	}
	for i := range u.Units {
		unit := &c.units[i]
		for k, v := range u.Units[i].Free {
			for len(unit.Free) <= k {
				unit.Free = append(unit.Free, 0)
			}
			for len(c.kinds) <= k {
				c.kinds = append(c.kinds, 0)
			}
			had := max(unit.Free[k], 0)
			unit.Free[k] += int(sign) * v
			c.kinds[k] += int64(max(unit.Free[k], 0) - had)
		}
	}
}
