// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// A heap is a slice. Its first element sorts before all others. container/heap would box
// every element in an interface. These functions take the slice and its order as arguments
// and allocate nothing.

// heapify turns h, in any order, into a heap.
func heapify[T any](h []T, before func(a, b *T) bool) {
	for i := len(h)/2 - 1; i >= 0; i-- {
		siftDown(h, i, before)
	}
}

// removeAt removes the i-th element from a heap. It returns the element and the heap.
func removeAt[T any](h []T, i int, before func(a, b *T) bool) (T, []T) {
	removed, last := h[i], len(h)-1
	h[i] = h[last]
	h = h[:last]
	if i < last {
		siftDown(h, siftUp(h, i, before), before)
	}
	return removed, h
}

// siftUp moves the i-th element up to its place and returns that place.
func siftUp[T any](h []T, i int, before func(a, b *T) bool) int {
	for i > 0 {
		parent := (i - 1) / 2
		if !before(&h[i], &h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
	return i
}

// siftDown moves the i-th element down to its place.
func siftDown[T any](h []T, i int, before func(a, b *T) bool) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && before(&h[child+1], &h[child]) {
			child++
		}
		if !before(&h[child], &h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
