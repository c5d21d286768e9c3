// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"context"
	"fmt"
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

// servedPoll is the interval of discovery calls for a kind that is not served yet.
const servedPoll = time.Second

// watched is one kind of object with its watch.
type watched struct {
	resource schema.GroupVersionResource
	expected runtime.Object
	// source lists and watches the kind. observed does the same for the reflector, and reports
	// broken watches as outages of the checker.
	source   cache.ListerWatcher
	observed cache.ListerWatcher
	store    cache.ReflectorStore
	reached  func(version int64) bool
	synced   chan struct{}
	// optional is true for kinds of CRDs or feature gates, which may be served later or never.
	optional bool
	// ready is closed after the first list, or when discovery shows that the kind is not
	// served.
	ready chan struct{}
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

// run watches until ctx is done. It waits until an optional kind is served.
func (w *watched) run(ctx context.Context, server discovery.DiscoveryInterface) {
	if w.optional && !w.waitUntilServed(ctx, server) {
		return
	}
	reflector := cache.NewReflectorWithOptions(w.observed, w.expected, w.store, cache.ReflectorOptions{Name: "invariants " + w.resource.Resource})
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

// closeReady closes ready. Only the first call has an effect: it is called twice for a kind
// that is served later.
func (w *watched) closeReady() {
	select {
	case <-w.ready:
	default:
		close(w.ready)
	}
}

// waitUntilServed reports whether the kind is served before ctx is done. It closes ready if the
// kind is not served, so that the start of the checker does not wait for it.
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

// catchUp waits until the watch has delivered every object of a new list.
func (w *watched) catchUp(ctx context.Context) error {
	select {
	case <-w.synced:
	default:
		return nil // The kind is not served.
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
