// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// layoutNode is what a layout (a division of devices into kinds, sets of interchangeable
// devices) caches for one node.
type layoutNode struct {
	node *node
	spec uint64
	// columns is the number of queries (demands on a device) that the signatures cover. A
	// signature says which of the queries a device satisfies.
	columns    int
	signatures []signature
	distinct   []signature
}

// outdated returns true if the node's slices have changed since the signatures were
// computed, or the layout has more queries (columns) than the signatures cover.
func (k *layoutNode) outdated(n *node, columns int) bool {
	return k.spec != n.spec || k.columns != columns
}
