// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Checker watches an API server until it is stopped.
type Checker struct {
	// lock guards judge: each watch delivers its changes from its own goroutine.
	lock    sync.Mutex
	judge   *judge
	watches []*watched
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Watch starts a checker and returns when it has received the first list of each kind that it
// watches and the API server serves. It runs until Stop, or until ctx is done.
func Watch(ctx context.Context, cfg *rest.Config, options Options) (*Checker, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // A client-side rate limit would delay the watches.
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making the invariant checker's client: %w", err)
	}
	raw, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making the invariant checker's client for gang objects: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	c := &Checker{judge: newJudge(options.withDefaults()), stop: stop}
	c.watches = append(c.coreWatches(clients), c.gangWatches(raw)...)
	for _, w := range c.watches {
		c.running.Go(func() { w.run(ctx, clients.Discovery()) })
	}
	if err := c.waitForSync(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	c.running.Go(func() { wait.UntilWithContext(ctx, c.tick, tick) })
	return c, nil
}

// waitForSync waits for the first list of every kind that is served now.
func (c *Checker) waitForSync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	for _, w := range c.watches {
		select {
		case <-w.ready:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the invariant checker's first list of %s: %w", w.resource.Resource, context.Cause(ctx))
		}
	}
	return nil
}

func (c *Checker) tick(context.Context) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.judge.timePassed(time.Now())
}

// Violations returns the violations found so far, ordered by time.
func (c *Checker) Violations() []Violation {
	c.lock.Lock()
	defer c.lock.Unlock()
	found := slices.Clone(c.judge.violations)
	slices.SortStableFunc(found, func(a, b Violation) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Sentence, b.Sentence))
	})
	return found
}

// Bindings returns the number of bindings judged. Compare it with the expected
// number: without bindings the absence of violations proves nothing.
func (c *Checker) Bindings() int {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.judge.bindings
}

// Evictions returns the numbers of evictions so far.
func (c *Checker) Evictions() Evictions {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.judge.counts
}

// SchedulerRestarted tells the checker that a scheduler was killed or replaced. Its successor may
// continue the evictions for a gang, which is not a second clearing. The end of an outage has the
// same effect.
func (c *Checker) SchedulerRestarted() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.judge.resumeClearings()
}

// Flush waits until the checker has received all objects that existed on the API server at the
// call, and has confirmed or refuted every suspicion (a possible violation that a later event
// may refute). It does not wait for Options.Grace: a gang that may still be binding is not a
// violation yet.
func (c *Checker) Flush(ctx context.Context) error {
	if err := c.catchUp(ctx); err != nil {
		return err
	}
	settled := func(context.Context) (bool, error) {
		c.lock.Lock()
		defer c.lock.Unlock()
		return len(c.judge.suspicions) == 0, nil
	}
	if err := wait.PollUntilContextCancel(ctx, tick/4, true, settled); err != nil {
		return fmt.Errorf("waiting for the invariant checker to settle: %w", err)
	}
	return nil
}

// catchUp waits until every watch has delivered all objects that existed at the call.
func (c *Checker) catchUp(ctx context.Context) error {
	for _, w := range c.watches {
		if err := w.catchUp(ctx); err != nil {
			return fmt.Errorf("waiting for the invariant checker to see all %s: %w", w.resource.Resource, err)
		}
	}
	return nil
}

// Stop ends the watches. Violations stays valid after it.
func (c *Checker) Stop() {
	c.stop()
	c.running.Wait()
}

// attemptTimeout limits one list during an outage. A paused API server accepts connections
// and answers nothing.
const attemptTimeout = 5 * time.Second

// ServerDown tells the checker that a server is down. Until the returned function returns, no
// time counts toward the time limits Options.Grace and Options.Settle. Call that function when
// the server is up again. It waits until the checker has received all objects that then exist.
func (c *Checker) ServerDown() (up func(context.Context) error) {
	c.beginOutage()
	return func(ctx context.Context) error {
		defer c.endOutage()
		var last error
		err := wait.PollUntilContextCancel(ctx, tick, true, func(ctx context.Context) (bool, error) {
			attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
			defer cancel()
			last = c.catchUp(attempt)
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("waiting for the invariant checker after an outage: %w: %w", err, last)
		}
		return nil
	}
}

func (c *Checker) beginOutage() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.judge.begin(time.Now())
}

func (c *Checker) endOutage() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.judge.end(time.Now())
	c.judge.resumeClearings()
}

// watchedKind returns the watch of a kind with its store.
func watchedKind[T object](c *Checker, resource schema.GroupVersionResource, expected runtime.Object,
	source cache.ListerWatcher, changed func(was, is T, now time.Time)) *watched {
	m := newMirror(&c.lock, changed)
	m.listing = c.judge.list
	l := &link{broke: c.beginOutage, stands: c.endOutage}
	return &watched{
		resource: resource, expected: expected, source: source, observed: l.observe(source),
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
	coscheduling := schema.GroupVersionResource{Group: "scheduling.x-k8s.io", Version: "v1alpha1", Resource: "podgroups"}
	podGroups := schema.GroupVersionResource{Group: "scheduling.k8s.io", Version: "v1beta1", Resource: "podgroups"}
	composites := schema.GroupVersionResource{Group: "scheduling.k8s.io", Version: "v1alpha3", Resource: "compositepodgroups"}
	volcano := schema.GroupVersionResource{Group: "scheduling.volcano.sh", Version: "v1beta1", Resource: "podgroups"}
	leaderWorkerSets := schema.GroupVersionResource{Group: "leaderworkerset.x-k8s.io", Version: "v1", Resource: "leaderworkersets"}
	jobs := schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	kinds := []*watched{
		watchedKind(c, jobs, &unstructured.Unstructured{}, listDynamic(client, jobs), c.judge.jobChanged),
		watchedKind(c, composites, &unstructured.Unstructured{}, listDynamic(client, composites), c.judge.compositeChanged),
		watchedKind(c, podGroups, &unstructured.Unstructured{}, listDynamic(client, podGroups), c.judge.podGroupChanged),
		watchedKind(c, rayClusters, &unstructured.Unstructured{}, listDynamic(client, rayClusters), c.judge.rayClusterChanged),
		watchedKind(c, coscheduling, &unstructured.Unstructured{}, listDynamic(client, coscheduling), c.judge.coschedulingChanged),
		watchedKind(c, volcano, &unstructured.Unstructured{}, listDynamic(client, volcano), c.judge.volcanoChanged),
		watchedKind(c, leaderWorkerSets, &unstructured.Unstructured{}, listDynamic(client, leaderWorkerSets), c.judge.leaderWorkerSetChanged),
	}
	for _, k := range kinds {
		k.optional = true
	}
	return kinds
}
