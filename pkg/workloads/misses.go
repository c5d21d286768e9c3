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

// minMisses is the least number of misses of a kind at which the misses of gangs that no
// longer exist are dropped.
const minMisses = 1024

// misses are the gangs whose object was looked up and not found, by the object. A missing
// object has no events, so the watcher reports these gangs as changed when the object
// appears, and when the kind is installed or removed, or its list fails. A gang may be
// deleted while its object is missing; dropUnused removes its misses.
type misses struct {
	mu sync.Mutex
	// keys has the number of the lookup that last missed the object, by object and gang.
	keys map[cache.ObjectName]map[gangs.Key]uint64
	// lookups counts the lookups that missed. count is the number of misses, limit the count
	// at which the unused ones are dropped.
	lookups      uint64
	count, limit int
	dropping     bool
}

// add adds a gang whose object was not found. It returns true if there are so many that the
// caller must call dropUnused.
func (m *misses) add(object cache.ObjectName, key gangs.Key) (full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		m.keys = map[cache.ObjectName]map[gangs.Key]uint64{}
	}
	if m.keys[object] == nil {
		m.keys[object] = map[gangs.Key]uint64{}
	}
	if m.keys[object][key] == 0 {
		m.count++
	}
	m.lookups++
	m.keys[object][key] = m.lookups
	full = m.count > max(m.limit, minMisses) && !m.dropping
	m.dropping = m.dropping || full
	return full
}

// miss is one lookup that found no object.
type miss struct {
	object cache.ObjectName
	key    gangs.Key
	lookup uint64
}

// dropUnused drops the misses of gangs for which inUse returns false. It holds no lock
// while it calls inUse. A miss that is added again meanwhile stays. The next call is due
// when the number of misses has doubled and exceeds minMisses.
func (m *misses) dropUnused(inUse func(gangs.Key) bool) {
	unused := slices.DeleteFunc(m.all(), func(missed miss) bool { return inUse(missed.key) })
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, missed := range unused {
		if m.keys[missed.object][missed.key] != missed.lookup {
			continue
		}
		m.count--
		if delete(m.keys[missed.object], missed.key); len(m.keys[missed.object]) == 0 {
			delete(m.keys, missed.object)
		}
	}
	m.limit, m.dropping = 2*m.count, false
}

func (m *misses) all() []miss {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]miss, 0, m.count)
	for object, missed := range m.keys {
		for key, lookup := range missed {
			all = append(all, miss{object: object, key: key, lookup: lookup})
		}
	}
	return all
}

// takeOf removes the gangs that missed an object, and returns them, sorted.
func (m *misses) takeOf(object cache.ObjectName) []gangs.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(m.keys[object]), compareKeys)
	delete(m.keys, object)
	m.count -= len(keys)
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
	m.keys, m.count = nil, 0
	return keys
}

func (m *misses) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

func compareKeys(a, b gangs.Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
