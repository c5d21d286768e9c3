// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

var _ gangs.Objects = &Watcher{}

var definitions = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// Watcher holds in memory the objects of all kinds that declare gangs. One Watcher serves
// all scheduler profiles of a process. It is safe for concurrent use.
type Watcher struct {
	dynamic dynamic.Interface
	byName  map[string]*kindWatch // by name of the CustomResourceDefinition
	watches []*kindWatch

	definitions cache.SharedIndexInformer
	listed      cache.ResourceEventHandlerRegistration
	start       sync.Once
	started     chan struct{}
	synced      atomic.Bool

	mu       sync.Mutex
	handlers []func(gangs.Key)
	users    []func(gangs.Key) bool
}

// OnChange adds a function that is called with the key of a gang whenever the object that
// declares the gang is created, changed or deleted, and whenever a lookup that found no
// object would now fail for another reason. It is not called for changes of fields that
// pkg/gangs does not read, such as most of status. Lookups return the new state by the time
// of the call. The function must not block, and may be called from several goroutines at
// once.
func (w *Watcher) OnChange(f func(gangs.Key)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handlers = append(slices.Clip(w.handlers), f)
}

// KeepMisses adds a function that returns true while its owner still uses the gang with that
// key. The watcher remembers that a gang's object was not found while one of these functions
// returns true for the gang. used may be called at any time, with no lock held.
func (w *Watcher) KeepMisses(used func(gangs.Key) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users = append(slices.Clip(w.users), used)
}

// inUse reports whether a function of KeepMisses returns true for this gang, or for a gang
// that is also read from its object.
func (w *Watcher) inUse(key gangs.Key) bool {
	w.mu.Lock()
	users := w.users
	w.mu.Unlock()
	keys := w.affected(key)
	return slices.ContainsFunc(users, func(used func(gangs.Key) bool) bool { return slices.ContainsFunc(keys, used) })
}

// Misses returns the number of remembered lookups that found no object.
func (w *Watcher) Misses() int {
	n := 0
	for _, kw := range w.watches {
		n += kw.misses.len()
	}
	return n
}

// Start begins to watch until the context is done, and returns at once. Only the first call
// has an effect. It returns an error if the informer of CustomResourceDefinitions refuses
// the event handler.
func (w *Watcher) Start(ctx context.Context) error {
	var err error
	w.start.Do(func() {
		w.listed, err = w.definitions.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { w.installed(ctx, obj) },
			UpdateFunc: func(_, obj any) { w.installed(ctx, obj) },
			DeleteFunc: func(obj any) { w.removed(ctx, obj) },
		})
		close(w.started)
		if err == nil {
			for _, kw := range w.watches {
				if kw.kind.BuiltIn {
					kw.run(ctx, "")
				}
			}
			go w.definitions.RunWithContext(ctx)
			go w.tellWhenListed(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("watching CustomResourceDefinitions: %w", err)
	}
	return nil
}

// HasSynced reports whether the installed kinds are known and all their objects are in
// memory. It does not wait for kinds that are not installed. Once true it stays true;
// lookups of a kind that is installed later return ErrNotRead until its objects are listed.
func (w *Watcher) HasSynced() bool {
	if w.synced.Load() {
		return true
	}
	if !w.definitionsListed() {
		return false
	}
	for _, kw := range w.watches {
		if !kw.settled() {
			return false
		}
	}
	w.synced.Store(true)
	return true
}

func (w *Watcher) definitionsListed() bool {
	select {
	case <-w.started:
		return w.listed != nil && w.listed.HasSynced()
	default:
		return false
	}
}

// tellWhenListed reports as changed the gangs whose lookups came before the first list of
// CustomResourceDefinitions. That list shows which kinds are not installed.
func (w *Watcher) tellWhenListed(ctx context.Context) {
	select {
	case <-w.listed.HasSyncedChecker().Done():
		for _, kw := range w.watches {
			kw.tellMisses()
		}
	case <-ctx.Done():
	}
}

func (w *Watcher) installed(ctx context.Context, obj any) {
	definition := obj.(*metav1.PartialObjectMetadata)
	if kw := w.byName[definition.Name]; kw != nil {
		kw.run(ctx, definition.UID)
	}
}

func (w *Watcher) removed(ctx context.Context, obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	definition := obj.(*metav1.PartialObjectMetadata)
	if kw := w.byName[definition.Name]; kw != nil {
		kw.end(ctx)
	}
}

// changed calls the handlers after the object that declares the gang with this key changed.
// It calls them with the key, and with the key of each gang that another object declares
// and that is also read from the changed object (see affected).
func (w *Watcher) changed(key gangs.Key) {
	w.mu.Lock()
	handlers := w.handlers
	w.mu.Unlock()

	for _, k := range w.affected(key) {
		for _, f := range handlers {
			f(k)
		}
	}
}

// affected returns the key of a gang, and the keys of the gangs that are also read from its
// object (Kind.Owner), directly or through other objects. For example, the gang of a PodGroup
// that a RayCluster owns is also read from the RayJob that made the RayCluster.
func (w *Watcher) affected(key gangs.Key) []gangs.Key {
	keys := []gangs.Key{key}
	for i := 0; i < len(keys); i++ {
		for _, kw := range w.watches {
			for _, reader := range kw.readFrom(keys[i]) {
				if !slices.Contains(keys, reader) {
					keys = append(keys, reader)
				}
			}
		}
	}
	return keys
}

// trimDefinition keeps the name, UID and resource version of a CustomResourceDefinition.
// The rest of its metadata can be long.
func trimDefinition(obj any) (any, error) {
	m, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	return &metav1.PartialObjectMetadata{
		TypeMeta: m.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{
			Name:            m.Name,
			UID:             m.UID,
			ResourceVersion: m.ResourceVersion,
		},
	}, nil
}

// lookup returns the object with that namespace and name. asks is the key of the gang for which
// it is looked up, and which is reported as changed when a missing object appears. The error is a
// *gangs.LookupError if there is no object, and a *gangs.MalformedError if it could not be
// decoded.
func lookup[T any](w *Watcher, kind Kind, asks gangs.Key, namespace, name string) (T, error) {
	var none T
	kw := w.byName[kind.definition()]
	if kw == nil {
		return none, fmt.Errorf("looking up %s: this watcher was made without %s", asks, kind.definition())
	}
	it, err := kw.get(asks, namespace, name)
	if err != nil {
		return none, err
	}
	if it.malformed != nil {
		return none, it.malformed
	}
	return it.object.(T), nil
}

// logWatchError logs an unserved kind at a high verbosity only, and passes every other
// error to client-go's default handler.
func logWatchError(ctx context.Context, r *cache.Reflector, kind Kind, err error) {
	if apierrors.IsNotFound(err) {
		klog.FromContext(ctx).V(2).Info("Workload kind is not served", "resource", kind.Resource, "err", err)
		return
	}
	cache.DefaultWatchErrorHandler(ctx, r, err)
}
