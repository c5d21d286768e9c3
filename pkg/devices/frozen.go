// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import "slices"

// frozenChunk is the number of nodes in a chunk of a frozen list. It is about the square
// root of a few thousand nodes, so both the chunks and the list of chunks are short.
const frozenChunk = 64

// frozen is an immutable list of the devices of each node, divided into chunks. A changed
// list shares all unchanged chunks with the original.
type frozen [][]*NodeDevices

func (f frozen) at(i int) *NodeDevices {
	if i/frozenChunk >= len(f) {
		return nil
	}
	return f[i/frozenChunk][i%frozenChunk]
}

// with returns a copy of the list with new elements at the indices places, which are
// ascending. of returns the new element for an index.
func (f frozen) with(places []int, of func(int) *NodeDevices) frozen {
	if len(places) == 0 {
		return f
	}
	next := slices.Clone(f)
	owned := -1
	for _, i := range places {
		chunk := i / frozenChunk
		for chunk >= len(next) {
			next = append(next, make([]*NodeDevices, frozenChunk))
		}
		if chunk != owned {
			next[chunk], owned = slices.Clone(next[chunk]), chunk
		}
		next[chunk][i%frozenChunk] = of(i)
	}
	return next
}
