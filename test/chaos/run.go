// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// converge is how long it may take until all gangs are bound after the last fault.
	converge = 60 * time.Second
	// mostAtOnce is the greatest number of faults at a time.
	mostAtOnce = 12
)

// Run starts a cluster and causes faults until their number is reached. It fails the test with
// every violation of an invariant, and if the cluster does not converge after the faults.
func Run(t *testing.T, options Options) {
	t.Helper()
	began := time.Now()
	r, err := start(t, options)
	if err != nil {
		t.Fatalf("starting the rig: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := r.stop(); err != nil {
			t.Errorf("stopping the rig: %v", err)
		}
	})
	running.Go(func() { r.programs.supervise(ctx) })
	running.Go(func() { r.load.run(ctx) })
	t.Logf("seed %d, %d replicas, the rig stands after %s", options.Seed, options.Replicas, time.Since(began).Round(time.Second))
	events := newSchedule(options.Seed, options.Kinds)
	for end, faults := time.Now().Add(options.Limit), 0; faults < options.Faults && time.Now().Before(end) && !t.Failed(); {
		faults = min(faults+options.Calm, options.Faults)
		r.cause(ctx, t, events, faults, end)
		r.calm(ctx, t)
	}
	if got := r.counts.total(); got < options.Faults && !t.Failed() {
		t.Errorf("%d of %d faults happened within %s", got, options.Faults, options.Limit)
	}
	r.report(t, time.Since(began))
}

// cause causes faults until their total number has reached faults, or until end.
func (r *rig) cause(ctx context.Context, t *testing.T, events *schedule, faults int, end time.Time) {
	var running sync.WaitGroup
	defer running.Wait()
	places := make(chan struct{}, mostAtOnce)
	for r.counts.total() < faults && time.Now().Before(end) && !t.Failed() {
		r.judge(t)
		e := events.next()
		number := events.drawn
		pause := time.Duration(20+e.random.IntN(200)) * time.Millisecond
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			began := time.Now()
			switch err := e.apply(ctx, r, e.random); {
			case errors.Is(err, errBusy):
				return
			case err != nil:
				t.Errorf("fault %d %s: %v", number, e.name, err)
			}
			if !e.counts {
				r.counts.add(e.name)
			}
			t.Logf("%s fault %d %s for %s", began.Format("15:04:05.000"), number, e.name, time.Since(began).Round(time.Millisecond))
		})
		sleep(ctx, pause)
	}
}

// judge fails the test with every violation of an invariant since its last call.
func (r *rig) judge(t *testing.T) {
	found := r.checker.Violations()
	for _, violation := range found[r.judged:] {
		t.Errorf("invariant %s", violation)
	}
	r.judged = len(found)
}

// calm waits without faults until the cluster has converged: all programs work and all gangs
// are bound. Then it judges.
func (r *rig) calm(ctx context.Context, t *testing.T) {
	for _, proxy := range r.proxies {
		proxy.clear()
	}
	for problem := "unknown"; problem != "" && ctx.Err() == nil; sleep(ctx, watchStep) {
		problem = r.programs.problem(ctx)
	}
	last := time.Now()
	r.load.freeze(true)
	defer r.load.freeze(false)
	problem := r.load.unsettled(ctx)
	for ; problem != "" && time.Since(last) < converge; problem = r.load.unsettled(ctx) {
		sleep(ctx, watchStep)
	}
	if problem != "" {
		t.Errorf("not converged %s after the last fault: %s", converge, problem)
	}
	flushing, cancel := context.WithTimeout(ctx, converge)
	defer cancel()
	if err := r.checker.Flush(flushing); err != nil {
		t.Errorf("the invariant checker: %v", err)
	}
	r.judge(t)
	t.Logf("%d faults; converged %s after the last", r.counts.total(), time.Since(last).Round(100*time.Millisecond))
}

// report prints the counts.
func (r *rig) report(t *testing.T, took time.Duration) {
	with := func(part string) int {
		return r.counts.of(func(kind string) bool { return strings.Contains(kind, part) })
	}
	lost := r.counts.of(func(kind string) bool {
		return strings.HasPrefix(kind, "answer-lost") || strings.HasSuffix(kind, "-done")
	})
	t.Logf("%d faults in %s, %d bindings judged, gangs made: %v\n%s", r.counts.total(), took.Round(time.Second), r.checker.Bindings(), r.load.gangsMade(), r.counts)
	t.Logf("API server killed %d times, %d of them while binding; etcd killed %d times; answers dropped after the write %d times",
		with("killed-api-server"), with("killed-api-server"+whileBinding), with("killed-etcd"), lost)
	t.Logf("programs started again: %v", r.programs.starts())
}

// RandomSeed returns a seed for a run without the environment variable CHAOS_SEED.
func RandomSeed() uint64 { return rand.Uint64() % 1_000_000 }
