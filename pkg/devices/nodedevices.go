// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import "slices"

// NodeDevices are the devices of one node in a View (a frozen copy of the inventory).
// Several Views share one value; treat it as read-only.
type NodeDevices struct {
	// Units are the node's alignment units (GPUs and NICs close to each other) in a fixed
	// order. The last unit has all devices that are in no other unit, including device
	// plugins' devices and devices that other nodes can use as well. It is often empty.
	Units []Unit
	// PodLimits has, by index of a limit in View.PodLimits (limits that counts of devices
	// cannot express), the number of pods that the node admits.
	PodLimits []int
	// Revision changes whenever the counts change, as long as View.Layout (a number for the
	// kinds and pod limits) stays the same. It is 0 for a node without devices of its own.
	Revision uint64
}

// Unit is one alignment unit: the GPUs and NICs of one pair, PCIe root or NUMA node.
type Unit struct {
	Name string
	// NUMA is the unit's NUMA node, -1 if unknown or mixed.
	NUMA int
	// Free counts the devices available for allocation, Total all devices, both by kind:
	// a set of devices that are interchangeable for all requests. A device that several
	// allocations can share counts once for each further share in Free, and as maxShares
	// (more than a node has pods) in Total.
	Free  []int
	Total []int
}

// withOwnLast returns a copy in which the last unit can be changed: this leaves the
// counts that views share as they are.
func (n NodeDevices) withOwnLast() NodeDevices {
	n.Units = slices.Clone(n.Units)
	last := &n.Units[len(n.Units)-1]
	last.Free, last.Total = slices.Clone(last.Free), slices.Clone(last.Total)
	return n
}
