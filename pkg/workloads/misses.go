// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// misses are the gangs whose object was asked for and not found. No event will
// ever tell of an object that is not there, so when the reason for that changes
// (its kind comes, goes or turns out to be unreadable) these are notified instead.
type misses struct {
	mu   sync.Mutex
	keys map[gangs.Key]struct{}
}

func (m *misses) add(key gangs.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		m.keys = map[gangs.Key]struct{}{}
	}
	m.keys[key] = struct{}{}
}

func (m *misses) remove(key gangs.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, key)
}

// take returns all misses and forgets them: who still misses the object asks
// again.
func (m *misses) take() []gangs.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(m.keys), func(a, b gangs.Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	m.keys = nil
	return keys
}
