// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// nodeClasses holds the class of every node at one moment.
type nodeClasses struct {
	fabric *fabric
	// pages hold the class of each position.
	pages pages[*class]
	// log lists the positions changed since the epoch began.
	log []int32
}

// class returns the class at a position.
func (nc *nodeClasses) class(pos int32) *class { return nc.pages.at(pos) }
