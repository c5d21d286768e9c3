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

// misses are the gangs whose object was looked up and not found. A missing object has no
// events. These gangs are therefore notified when the reason changes: when the kind is
// installed or removed, or turns out to be unreadable.
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

// take returns all misses, sorted, and clears them. A gang whose object is still missing is
// added again at its next lookup.
func (m *misses) take() []gangs.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(m.keys), func(a, b gangs.Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	m.keys = nil
	return keys
}
