// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

// layoutNode is a layout's cached data for one node.
type layoutNode struct {
	node *node
	spec uint64
	// columns is the number of queries that the signatures cover.
	columns    int
	signatures []signature
	distinct   []signature
}

// outdated returns true if the node's slices or the layout's queries are newer than the
// signatures.
func (k *layoutNode) outdated(n *node, columns int) bool {
	return k.spec != n.spec || k.columns != columns
}
