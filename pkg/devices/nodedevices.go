// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import "slices"

// NodeDevices are the devices of one node in a View. Treat it as read-only: views share it.
type NodeDevices struct {
	// Units are the node's alignment units in a fixed order. The last unit has all devices that belong to none, plugin
	// devices and devices that other nodes can use included. It is often empty.
	Units []Unit
	// Permits is how many pods the node admits, by pod limit (see View.Permits).
	Permits []int
	// Revision changes with the counts, as long as the view's layout stays. It is 0 for a node without devices of its own.
	Revision uint64
}

// Unit is one alignment unit: the GPUs and NICs of one pair, PCIe root or NUMA node.
type Unit struct {
	Name string
	// NUMA is the unit's NUMA node, -1 if unknown or mixed.
	NUMA int
	// Free counts the devices that can be allocated, Total all devices, both by kind.
	Free  []int
	Total []int
}

// withOwnLast copies what Node changes, so that the shared counts do not change.
func (n NodeDevices) withOwnLast() NodeDevices {
	n.Units = slices.Clone(n.Units)
	last := &n.Units[len(n.Units)-1]
	last.Free, last.Total = slices.Clone(last.Free), slices.Clone(last.Total)
	return n
}
