// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"
)

const (
	pageBits = 8
	pageSize = 1 << pageBits
)

// pages is an array of values by position (the index of a node), divided into pages. A
// copy that an editor made shares all unchanged pages with the original. A nil page was
// never written and reads as zeros.
type pages[T any] [][]T

func newPages[T any](n int) pages[T] { return make(pages[T], (n+pageSize-1)>>pageBits) }

func (p pages[T]) at(pos int32) T {
	page := p[pos>>pageBits]
	if page == nil {
		var zero T
		return zero
	}
	return page[pos&(pageSize-1)]
}

// set writes a value. The caller ensures that no copy shares the page.
func (p pages[T]) set(pos int32, v T) {
	page := &p[pos>>pageBits]
	if *page == nil {
		*page = make([]T, pageSize)
	}
	(*page)[pos&(pageSize-1)] = v
}

// editor is a copy of pages that can be written: it copies each page at most once, before
// the first write to the page.
type editor[T any] struct {
	pages[T]
	own []bool
}

func edit[T any](p pages[T]) editor[T] {
	return editor[T]{slices.Clone(p), make([]bool, len(p))}
}

func (e *editor[T]) set(pos int32, v T) {
	if i := pos >> pageBits; !e.own[i] {
		e.pages[i] = slices.Clone(e.pages[i])
		e.own[i] = true
	}
	e.pages.set(pos, v)
}

// sortedKeys returns the keys of a map, ascending.
func sortedKeys[V any](m map[int32]V) []int32 { return slices.Sorted(maps.Keys(m)) }
