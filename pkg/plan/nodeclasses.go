// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// nodeClasses has, for every node at one moment, its class: the free capacity that it shares
// with equal nodes.
type nodeClasses struct {
	fabric *fabric
	// pages have the class of the node at each position (index of a node).
	pages pages[*class]
	// log lists the positions whose class changed since the epoch, which keeps counts
	// between plans, was created.
	log []int32
}

// class returns the class of the node at pos.
func (nc *nodeClasses) class(pos int32) *class { return nc.pages.at(pos) }
