// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// servedPoll is how often a kind that is not served yet is looked for.
const servedPoll = time.Second

// watched is one kind of object with its watch.
type watched struct {
	resource schema.GroupVersionResource
	expected runtime.Object
	source   cache.ListerWatcher
	store    cache.ReflectorStore
	reached  func(version int64) bool
	synced   chan struct{}
	// optional kinds come from CRDs or behind gates, and may be served later, or never.
	optional bool
	// ready is closed when the first list arrived, or when the kind is not served.
	ready chan struct{}
}

// watchedKind puts the parts of one kind together.
func watchedKind[T object](lock *sync.Mutex, resource schema.GroupVersionResource, expected runtime.Object,
	source cache.ListerWatcher, changed func(was, is T, now time.Time)) *watched {
	m := newMirror(lock, changed)
	return &watched{
		resource: resource, expected: expected, source: source,
		store: m, reached: m.reached, synced: m.synced, ready: make(chan struct{}),
	}
}

func listDynamic(client dynamic.Interface, resource schema.GroupVersionResource) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.Resource(resource).List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.Resource(resource).Watch(ctx, options)
		},
	}, client)
}

// run watches until ctx is done, for an optional kind from the moment it is served.
func (w *watched) run(ctx context.Context, server discovery.DiscoveryInterface) {
	if w.optional && !w.waitUntilServed(ctx, server) {
		return
	}
	reflector := cache.NewReflectorWithOptions(w.source, w.expected, w.store, cache.ReflectorOptions{Name: "invariants " + w.resource.Resource})
	go w.closeReadyOnSync(ctx)
	reflector.RunWithContext(ctx)
}

func (w *watched) closeReadyOnSync(ctx context.Context) {
	select {
	case <-w.synced:
		w.closeReady()
	case <-ctx.Done():
	}
}

// closeReady is called once for a kind that is served, and before that, if it
// was not served at first.
func (w *watched) closeReady() {
	select {
	case <-w.ready:
	default:
		close(w.ready)
	}
}

// waitUntilServed says whether the kind is served before ctx is done. A kind
// that is not served keeps nobody waiting.
func (w *watched) waitUntilServed(ctx context.Context, server discovery.DiscoveryInterface) bool {
	served := func(context.Context) (bool, error) {
		list, err := server.ServerResourcesForGroupVersion(w.resource.GroupVersion().String())
		if errors.IsNotFound(err) {
			w.closeReady()
			return false, nil
		}
		return err == nil && serves(list, w.resource.Resource), nil
	}
	return wait.PollUntilContextCancel(ctx, servedPoll, true, served) == nil
}

func serves(list *metav1.APIResourceList, resource string) bool {
	for _, r := range list.APIResources {
		if r.Name == resource {
			return true
		}
	}
	return false
}

// catchUp waits until the watch has delivered what a fresh list shows.
func (w *watched) catchUp(ctx context.Context) error {
	select {
	case <-w.synced:
	default:
		return nil // Not served: there is nothing to see.
	}
	list, err := cache.ToListerWatcherWithContext(w.source).ListWithContext(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing them: %w", err)
	}
	var newest int64
	err = meta.EachListItem(list, func(item runtime.Object) error {
		accessor, err := meta.Accessor(item)
		if err == nil {
			newest = max(newest, versionOf(accessor))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reading their versions: %w", err)
	}
	return wait.PollUntilContextCancel(ctx, tick/4, true, func(context.Context) (bool, error) {
		return w.reached(newest), nil
	})
}
