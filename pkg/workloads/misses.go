// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"k8s.io/client-go/tools/cache"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// misses are the gangs whose object was looked up and not found, by the object. A missing
// object has no events, so these gangs are notified when the object appears, and when the
// kind is installed or removed, or turns out to be unreadable.
type misses struct {
	mu   sync.Mutex
	keys map[cache.ObjectName]map[gangs.Key]struct{}
}

// add adds a gang whose object was not found.
func (m *misses) add(object cache.ObjectName, key gangs.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		m.keys = map[cache.ObjectName]map[gangs.Key]struct{}{}
	}
	if m.keys[object] == nil {
		m.keys[object] = map[gangs.Key]struct{}{}
	}
	m.keys[object][key] = struct{}{}
}

// takeOf removes the gangs that missed an object, and returns them, sorted.
func (m *misses) takeOf(object cache.ObjectName) []gangs.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(m.keys[object]), compareKeys)
	delete(m.keys, object)
	return keys
}

// take returns all misses, sorted, and clears them. A gang whose object is still missing is
// added again at its next lookup.
func (m *misses) take() []gangs.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []gangs.Key
	for _, missed := range m.keys {
		keys = slices.AppendSeq(keys, maps.Keys(missed))
	}
	slices.SortFunc(keys, compareKeys)
	m.keys = nil
	return keys
}

func compareKeys(a, b gangs.Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
