// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// object is an API object as the mirror stores it.
type object interface {
	comparable
	metav1.Object
}

// mirror is the store of a watch. It holds the last state of every object. It calls changed
// for each change, in the order in which the API server sent them. An informer would merge
// the changes of an object.
type mirror[T object] struct {
	lock    *sync.Mutex
	changed func(was, is T, now time.Time)
	now     func() time.Time
	// listing, if not nil, is called with true before the mirror stores a complete list, and
	// with false afterwards.
	listing func(on bool, now time.Time)
	// synced is closed when the first list has arrived.
	synced  chan struct{}
	once    sync.Once
	objects map[types.UID]T
	// seen is the highest resource version received. A watch sends versions in order.
	seen int64
}

var _ cache.ReflectorStore = &mirror[*metav1.PartialObjectMetadata]{}

func newMirror[T object](lock *sync.Mutex, changed func(was, is T, now time.Time)) *mirror[T] {
	return &mirror[T]{lock: lock, changed: changed, now: time.Now, synced: make(chan struct{}), objects: map[types.UID]T{}}
}

// Add stores a new object.
func (m *mirror[T]) Add(item any) error { return m.Update(item) }

// Update stores an object's new state.
func (m *mirror[T]) Update(item any) error {
	is, isT := item.(T)
	if !isT {
		return fmt.Errorf("watch sent a %T", item)
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	m.set(is)
	return nil
}

// Delete removes an object.
func (m *mirror[T]) Delete(item any) error {
	was, isT := item.(T)
	if !isT {
		return fmt.Errorf("watch sent a %T", item)
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	m.seen = max(m.seen, versionOf(was))
	m.drop(was.GetUID())
	return nil
}

// Replace stores a complete list. It removes missing objects first, or a device could
// appear to be allocated twice. It adds the others in the order of their versions.
func (m *mirror[T]) Replace(items []any, _ string) error {
	present := make([]T, 0, len(items))
	uids := map[types.UID]bool{}
	for _, item := range items {
		is, isT := item.(T)
		if !isT {
			return fmt.Errorf("list sent a %T", item)
		}
		present = append(present, is)
		uids[is.GetUID()] = true
	}
	slices.SortFunc(present, func(a, b T) int { return cmp.Compare(versionOf(a), versionOf(b)) })
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.listing != nil {
		m.listing(true, m.now())
		defer func() { m.listing(false, m.now()) }()
	}
	for _, uid := range slices.Sorted(maps.Keys(m.objects)) {
		if !uids[uid] {
			m.drop(uid)
		}
	}
	for _, is := range present {
		m.set(is)
	}
	m.once.Do(func() { close(m.synced) })
	return nil
}

// Resync does nothing: the checker needs no repeated events.
func (m *mirror[T]) Resync() error { return nil }

func (m *mirror[T]) set(is T) {
	was := m.objects[is.GetUID()]
	is.SetManagedFields(nil)
	m.seen = max(m.seen, versionOf(is))
	m.objects[is.GetUID()] = is
	m.changed(was, is, m.now())
}

func (m *mirror[T]) drop(uid types.UID) {
	was, known := m.objects[uid]
	if !known {
		return
	}
	delete(m.objects, uid)
	var none T
	m.changed(was, none, m.now())
}

// reached reports whether the mirror has received all changes up to a version.
func (m *mirror[T]) reached(version int64) bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.seen >= version
}

// versionOf returns an object's resource version as a number.
func versionOf(o metav1.Object) int64 {
	version, err := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return version
}
