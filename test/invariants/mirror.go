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

// object is what the checker needs of any API object.
type object interface {
	comparable
	metav1.Object
}

// mirror is the end of one watch. It holds the last state of every object and
// hands on each change in the very order in which the API server sent it; an
// informer would hand on what happened to one object in one go.
type mirror[T object] struct {
	lock    *sync.Mutex
	changed func(was, is T, now time.Time)
	now     func() time.Time
	// synced is closed when the first list has arrived.
	synced  chan struct{}
	once    sync.Once
	objects map[types.UID]T
	// seen is the highest resource version taken in; a watch sends them in order.
	seen int64
}

var _ cache.ReflectorStore = &mirror[*metav1.PartialObjectMetadata]{}

func newMirror[T object](lock *sync.Mutex, changed func(was, is T, now time.Time)) *mirror[T] {
	return &mirror[T]{lock: lock, changed: changed, now: time.Now, synced: make(chan struct{}), objects: map[types.UID]T{}}
}

// Add takes in a new object.
func (m *mirror[T]) Add(item any) error { return m.Update(item) }

// Update takes in an object's new state.
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

// Delete takes in that an object is gone.
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

// Replace takes in a whole list: first what is gone, so that nothing seems to
// be held twice, then the rest in the order in which it was written.
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

// Resync has nothing to do: no watcher asks to hear again what it knows.
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

// reached says whether the mirror has taken in everything up to a version.
func (m *mirror[T]) reached(version int64) bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.seen >= version
}

// versionOf is an object's resource version as the number that it is.
func versionOf(o metav1.Object) int64 {
	version, err := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return version
}
