// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
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
func watchedKind[T object](c *Checker, resource schema.GroupVersionResource, expected runtime.Object,
	source cache.ListerWatcher, changed func(was, is T, now time.Time)) *watched {
	m := newMirror(&c.lock, changed)
	return &watched{
		resource: resource, expected: expected, source: source,
		store: m, reached: m.reached, synced: m.synced, ready: make(chan struct{}),
	}
}

func (c *Checker) coreWatches(clients kubernetes.Interface) []*watched {
	core, dra := clients.CoreV1().RESTClient(), clients.ResourceV1().RESTClient()
	list := func(client rest.Interface, resource string) cache.ListerWatcher {
		return cache.NewListWatchFromClient(client, resource, metav1.NamespaceAll, fields.Everything())
	}
	coreKind, draKind := v1.SchemeGroupVersion.WithResource, resourceapi.SchemeGroupVersion.WithResource
	return []*watched{
		watchedKind(c, coreKind("nodes"), &v1.Node{}, list(core, "nodes"), c.judge.nodeChanged),
		watchedKind(c, coreKind("pods"), &v1.Pod{}, list(core, "pods"), c.judge.podChanged),
		watchedKind(c, draKind("resourceclaims"), &resourceapi.ResourceClaim{}, list(dra, "resourceclaims"), c.judge.claimChanged),
		watchedKind(c, draKind("resourceslices"), &resourceapi.ResourceSlice{}, list(dra, "resourceslices"), c.judge.sliceChanged),
	}
}

func (c *Checker) gangWatches(client dynamic.Interface) []*watched {
	rayClusters := schema.GroupVersionResource{Group: "ray.io", Version: "v1", Resource: "rayclusters"}
	coschedulingGroups := schema.GroupVersionResource{Group: "scheduling.x-k8s.io", Version: "v1alpha1", Resource: "podgroups"}
	podGroups := schema.GroupVersionResource{Group: "scheduling.k8s.io", Version: "v1beta1", Resource: "podgroups"}
	composites := schema.GroupVersionResource{Group: "scheduling.k8s.io", Version: "v1alpha3", Resource: "compositepodgroups"}
	jobs := schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	kinds := []*watched{
		watchedKind(c, jobs, &unstructured.Unstructured{}, listDynamic(client, jobs), c.judge.jobChanged),
		watchedKind(c, composites, &unstructured.Unstructured{}, listDynamic(client, composites), c.judge.compositeChanged),
		watchedKind(c, podGroups, &unstructured.Unstructured{}, listDynamic(client, podGroups), c.judge.podGroupChanged),
		watchedKind(c, rayClusters, &unstructured.Unstructured{}, listDynamic(client, rayClusters), c.judge.rayClusterChanged),
		watchedKind(c, coschedulingGroups, &unstructured.Unstructured{}, listDynamic(client, coschedulingGroups), c.judge.coschedulingChanged),
	}
	for _, k := range kinds {
		k.optional = true
	}
	return kinds
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
