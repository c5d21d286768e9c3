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

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// defaultGrace is far longer than a healthy scheduler pauses between two binds
	// of a gang, and short enough for a test to wait for.
	defaultGrace = 10 * time.Second
	// defaultSettle is far longer than two watches of one API server are apart.
	defaultSettle = 2 * time.Second
	// tick is how often passing time is judged; it bounds how late a report is.
	tick = 100 * time.Millisecond
	// syncTimeout is how long the first lists may take.
	syncTimeout = time.Minute
)

// Options say whom to judge and how patiently. The zero value judges Dovetail.
type Options struct {
	// SchedulerNames are the schedulers whose pods are judged; by default the two
	// profiles that Dovetail serves.
	SchedulerNames []string
	// Grace is how long a gang may stay bound below its minimum without another
	// binding, and how long a waiting pod may hold a device; 10 s by default.
	Grace time.Duration
	// Settle is how far two watches of different kinds may be apart; 2 s by default.
	Settle time.Duration
}

func (o Options) withDefaults() Options {
	if len(o.SchedulerNames) == 0 {
		o.SchedulerNames = []string{"dovetail", "scheduler-plugins-scheduler"}
	}
	o.Grace = cmp.Or(o.Grace, defaultGrace)
	o.Settle = cmp.Or(o.Settle, defaultSettle)
	return o
}

// Checker watches one API server until it is stopped.
type Checker struct {
	// lock guards judge: each watch hands in its changes from its own goroutine.
	lock    sync.Mutex
	judge   *judge
	watches []*watched
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Watch starts a checker and returns once it knows the state of the cluster.
// It runs until Stop, or until ctx is done.
func Watch(ctx context.Context, cfg *rest.Config, options Options) (*Checker, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // It only watches; waiting for its own rate limit would blind it.
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

// Violations returns all that was found up to now, in the order of its finding.
func (c *Checker) Violations() []Violation {
	c.lock.Lock()
	defer c.lock.Unlock()
	found := slices.Clone(c.judge.violations)
	slices.SortStableFunc(found, func(a, b Violation) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Sentence, b.Sentence))
	})
	return found
}

// Bindings is how many bindings were judged: no violations mean something only
// if this is the number that was expected.
func (c *Checker) Bindings() int {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.judge.bindings
}

// Flush waits until the checker has seen everything that the API server held
// when Flush was called and has settled every accusation. It does not wait for
// Grace: a gang that began to bind a moment ago is not yet wrong.
func (c *Checker) Flush(ctx context.Context) error {
	for _, w := range c.watches {
		if err := w.catchUp(ctx); err != nil {
			return fmt.Errorf("waiting for the invariant checker to see all %s: %w", w.resource.Resource, err)
		}
	}
	settled := func(context.Context) (bool, error) {
		c.lock.Lock()
		defer c.lock.Unlock()
		return len(c.judge.charges) == 0, nil
	}
	if err := wait.PollUntilContextCancel(ctx, tick/4, true, settled); err != nil {
		return fmt.Errorf("waiting for the invariant checker to settle: %w", err)
	}
	return nil
}

// Stop ends the watches. What was found stays readable.
func (c *Checker) Stop() {
	c.stop()
	c.running.Wait()
}
