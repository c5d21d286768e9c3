// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// truthIndex is an informer index. It finds the objects whose gang is also read from
// another object (for example PodGroups that a RayCluster owns), by the key of that other
// object.
const truthIndex = "truth"

// kindWatch watches one kind while its CustomResourceDefinition exists, or always if the
// kind is built in. One goroutine calls run and end; any goroutine may call the other
// methods.
type kindWatch struct {
	kind    Kind
	watcher *Watcher
	misses  misses

	mu      sync.RWMutex
	current *kindInformer // nil while the kind is not installed
}

// kindInformer is one run of the watch, for one CustomResourceDefinition.
type kindInformer struct {
	cache.SharedIndexInformer
	definition types.UID
	handled    cache.ResourceEventHandlerRegistration
	stop       context.CancelFunc

	mu      sync.Mutex
	failure error // the last watch error, used only until the first list
}

// run starts the watch for a CustomResourceDefinition. It restarts a watch if the
// definition was replaced, or if the API server did not serve the kind's version: a new
// definition is served only after a moment, and is updated then.
func (kw *kindWatch) run(ctx context.Context, definition types.UID) {
	old := kw.informer()
	if old != nil && old.definition == definition && !old.notServed() {
		return
	}
	if old != nil {
		kw.end(ctx)
	}
	kw.begin(ctx, definition)
}

func (kw *kindWatch) begin(ctx context.Context, definition types.UID) {
	ki, err := kw.newInformer(definition)
	if err != nil {
		// The set-up has constant arguments, so an error is a bug.
		panic(fmt.Sprintf("setting up the watch of %s: %v", kw.kind.definition(), err))
	}
	ctx, ki.stop = context.WithCancel(ctx)

	kw.mu.Lock()
	kw.current = ki
	kw.mu.Unlock()

	klog.FromContext(ctx).V(2).Info("Workload kind is installed", "resource", kw.kind.Resource)
	go ki.RunWithContext(ctx)
	go func() {
		select {
		case <-ki.handled.HasSyncedChecker().Done():
			kw.tellMisses()
		case <-ctx.Done():
		}
	}()
}

// end stops the watch, forgets all objects and reports their gangs as changed.
func (kw *kindWatch) end(ctx context.Context) {
	kw.mu.Lock()
	old := kw.current
	kw.current = nil
	kw.mu.Unlock()
	if old == nil {
		return
	}
	old.stop()
	klog.FromContext(ctx).V(2).Info("Workload kind is removed", "resource", kw.kind.Resource)
	for _, obj := range old.GetStore().List() {
		kw.tell(obj)
	}
	kw.tellMisses()
}

func (kw *kindWatch) newInformer(definition types.UID) (*kindInformer, error) {
	ki := &kindInformer{definition: definition}
	ki.SharedIndexInformer = dynamicinformer.NewFilteredDynamicInformer(kw.watcher.dynamic, kw.kind.Resource,
		metav1.NamespaceAll, 0, cache.Indexers{truthIndex: kw.truth}, nil).Informer()
	if err := ki.SetTransform(kw.kind.newItem); err != nil {
		return nil, err
	}
	err := ki.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		logWatchError(ctx, r, kw.kind, err)
		if ki.fail(err) {
			kw.tellMisses()
		}
	})
	if err != nil {
		return nil, err
	}
	ki.handled, err = ki.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: kw.tell,
		UpdateFunc: func(before, after any) {
			if !declaresSame(before.(*item), after.(*item)) {
				kw.tell(after)
			}
		},
		DeleteFunc: kw.tell,
	})
	return ki, err
}

// tell reports that the gang which the object declares has changed. It also reports the
// gangs whose lookups did not find the object: a LeaderWorkerSet does not name the gangs
// that read it. It also reports the gang of another object that is read from this object
// (Kind.Reader).
func (kw *kindWatch) tell(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	it := obj.(*item)
	key := kw.kind.Key(it.Namespace, it.Name)
	for _, missed := range kw.misses.takeOf(cache.NewObjectName(it.Namespace, it.Name)) {
		if missed != key {
			kw.watcher.changed(missed)
		}
	}
	kw.watcher.changed(key)
	if kw.kind.Reader == nil || it.object == nil {
		return
	}
	if reader, ok := kw.kind.Reader(it.object); ok {
		kw.watcher.changed(reader)
	}
}

// tellMisses reports as changed the gangs whose object a lookup did not find, because the
// reason for that may have changed.
func (kw *kindWatch) tellMisses() {
	for _, key := range kw.misses.take() {
		kw.watcher.changed(key)
	}
}

// truth is the index function of truthIndex. It returns the key of the other object that
// the gang of obj is also read from.
func (kw *kindWatch) truth(obj any) ([]string, error) {
	it := obj.(*item)
	if kw.kind.Owner == nil || it.object == nil {
		return nil, nil
	}
	if key, ok := kw.kind.Owner(it.object); ok {
		return []string{key.String()}, nil
	}
	return nil, nil
}

// readFrom returns the gangs declared by this kind that are also read from the object with
// that key.
func (kw *kindWatch) readFrom(key gangs.Key) []gangs.Key {
	ki := kw.informer()
	if ki == nil || kw.kind.Owner == nil {
		return nil
	}
	found, err := ki.GetIndexer().ByIndex(truthIndex, key.String())
	if err != nil {
		panic(fmt.Sprintf("reading an index that every informer has: %v", err))
	}
	keys := make([]gangs.Key, 0, len(found))
	for _, obj := range found {
		it := obj.(*item)
		keys = append(keys, kw.kind.Key(it.Namespace, it.Name))
	}
	return keys
}

func (kw *kindWatch) informer() *kindInformer {
	kw.mu.RLock()
	defer kw.mu.RUnlock()
	return kw.current
}

// settled reports whether the scheduler's start need not wait for this kind: the kind is
// not installed or not served, or all its objects are in memory, or the kind is optional and
// the API server refuses to list its objects.
func (kw *kindWatch) settled() bool {
	ki := kw.informer()
	return ki == nil || ki.notServed() || ki.handled.HasSynced() || kw.kind.Optional && ki.forbidden()
}

// get returns the object with that namespace and name for the gang with key asks. If there
// is none, it returns a *gangs.LookupError with the reason. It adds the gang to misses (the
// gangs whose object was not found) before it determines the reason, so that a later change
// of the reason is reported to the gang.
func (kw *kindWatch) get(asks gangs.Key, namespace, name string) (*item, error) {
	if it := kw.find(namespace, name); it != nil {
		return it, nil
	}
	if kw.misses.add(cache.NewObjectName(namespace, name), asks) {
		// In a goroutine of its own: dropUnused asks the watcher's users which gangs they
		// still use. The users' functions may need a lock that the caller of get holds.
		go kw.misses.dropUnused(kw.watcher.inUse)
	}

	ki := kw.informer()
	switch {
	case ki == nil && !kw.kind.BuiltIn && kw.watcher.definitionsListed():
		return nil, kw.notInstalled(asks)
	case ki == nil:
		return nil, &gangs.LookupError{Key: asks, Reason: gangs.ErrNotRead, Listing: true, Detail: "the kinds of the API server are not listed yet"}
	case ki.notServed():
		return nil, kw.notInstalled(asks)
	case !ki.HasSynced():
		return nil, ki.notRead(asks)
	}
	if it := kw.find(namespace, name); it != nil {
		return it, nil
	}
	return nil, &gangs.LookupError{Key: asks, Reason: gangs.ErrNotFound}
}

func (kw *kindWatch) find(namespace, name string) *item {
	ki := kw.informer()
	if ki == nil {
		return nil
	}
	obj, exists, err := ki.GetStore().GetByKey(cache.NewObjectName(namespace, name).String())
	if err != nil || !exists {
		return nil // an informer's store is in memory and returns no errors
	}
	return obj.(*item)
}

func (kw *kindWatch) notInstalled(key gangs.Key) error {
	if kw.kind.BuiltIn {
		return &gangs.LookupError{Key: key, Reason: gangs.ErrNotInstalled, Detail: kw.kind.Resource.GroupVersion().String()}
	}
	return &gangs.LookupError{
		Key:    key,
		Reason: gangs.ErrNotInstalled,
		Detail: fmt.Sprintf("version %s of CustomResourceDefinition %s", kw.kind.Resource.Version, kw.kind.definition()),
	}
}

// fail stores the watch error. It reports whether lookups fail for another reason now: the
// objects have never been listed, and the error differs from the last one.
func (ki *kindInformer) fail(err error) bool {
	ki.mu.Lock()
	defer ki.mu.Unlock()
	before := ki.failure
	ki.failure = err
	return !ki.HasSynced() && (before == nil || before.Error() != err.Error())
}

// forbidden reports whether the API server refuses to list the objects of the kind: the last
// attempt to list them got the answer 403 Forbidden, because RBAC gives Dovetail no right.
func (ki *kindInformer) forbidden() bool { return ki.neverListed(apierrors.IsForbidden) }

// notServed reports whether the API server does not serve the version that Dovetail reads:
// the last attempt to list them got the answer 404 Not Found.
func (ki *kindInformer) notServed() bool { return ki.neverListed(apierrors.IsNotFound) }

// neverListed reports whether no attempt to list the objects has succeeded, and the function is
// returns true for the error of the last attempt.
func (ki *kindInformer) neverListed(is func(error) bool) bool {
	ki.mu.Lock()
	defer ki.mu.Unlock()
	return !ki.HasSynced() && ki.failure != nil && is(ki.failure)
}

// notRead returns the LookupError of a kind whose objects are not listed yet.
func (ki *kindInformer) notRead(asks gangs.Key) error {
	ki.mu.Lock()
	defer ki.mu.Unlock()
	if ki.failure != nil {
		return &gangs.LookupError{Key: asks, Reason: gangs.ErrNotRead, Detail: ki.failure.Error()}
	}
	return &gangs.LookupError{Key: asks, Reason: gangs.ErrNotRead, Listing: true, Detail: "its kind is being listed"}
}
