// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/dovetail-dev/dovetail/test/demo/picture"
	"github.com/dovetail-dev/dovetail/test/invariants"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

const (
	// stepTimeout limits the time of a step. Each step takes seconds.
	stepTimeout = 90 * time.Second
	// pollInterval is the time between two reads of the API while a step runs.
	pollInterval = 100 * time.Millisecond
)

// watched describes the invariants that the invariant checker (test/invariants) checks, one a
// line.
var watched = []string{
	"I1  a gang is bound whole or not at all",
	"I2  no device is allocated twice, and no node is over-committed",
	"I4  a gang that cannot fit holds no node and no device",
}

// session is a running demo.
type session struct {
	observer *observer
	kubectl  kubectl
	checker  *invariants.Checker
	screen   *screen
}

// runSteps runs the steps while the invariant checker watches.
func runSteps(ctx context.Context, cluster *localcluster.Cluster, o options, s *screen) error {
	observer, err := newObserver(cluster.AdminConfig(), o.fleet)
	if err != nil {
		return err
	}
	checker, err := invariants.Watch(ctx, cluster.AdminConfig(), invariants.Options{})
	if err != nil {
		return fmt.Errorf("starting the invariant checker: %w", err)
	}
	defer checker.Stop()
	r := &session{
		observer: observer, checker: checker, screen: s,
		kubectl: kubectl{cluster: cluster},
	}
	if _, err := r.kubectl.run(ctx, "create", "namespace", namespace); err != nil {
		return err
	}
	s.title("How to read the pictures")
	for _, line := range picture.Legend() {
		s.line(line)
	}
	began := time.Now()
	for _, step := range o.steps {
		if err := r.runStep(ctx, step); err != nil {
			return err
		}
	}
	return r.conclude(ctx, o.steps, time.Since(began))
}

// runStep runs a step: its command, its wait, its picture and its checks.
func (r *session) runStep(ctx context.Context, step step) error {
	r.screen.title(step.title)
	r.screen.prose(step.story)
	began := time.Now()
	answer, err := r.kubectl.run(ctx, step.command...)
	if err != nil {
		return err
	}
	r.screen.command(step.typed(), answer)
	seen, err := r.wait(ctx, step, began)
	if err != nil {
		return err
	}
	if err := r.stays(ctx, step); err != nil {
		return err
	}
	if err := r.show(ctx, step); err != nil {
		return err
	}
	r.screen.draw(picture.Draw(seen.fleet(), r.screen.colour))
	for _, g := range step.places {
		r.screen.list(pairHeading(g), seen.pairLines(g))
	}
	return r.check(seen, step)
}

// wait polls until every awaited check of the step has passed, and prints each with its
// time.
func (r *session) wait(ctx context.Context, step step, began time.Time) (*observation, error) {
	var seen *observation
	awaited := step.awaited
	missing := errors.New("the API was not read yet")
	err := wait.PollUntilContextTimeout(ctx, pollInterval, stepTimeout, true, func(ctx context.Context) (bool, error) {
		var err error
		if seen, err = r.observer.observe(ctx); err != nil {
			return false, err
		}
		if broken := r.checker.Violations(); len(broken) > 0 {
			return false, fmt.Errorf("invariant %s", broken[0])
		}
		for len(awaited) > 0 {
			var sentence string
			if sentence, missing = awaited[0](seen); missing != nil {
				return false, nil
			}
			r.screen.prose(fmt.Sprintf("after %s: %s", seconds(time.Since(began)), sentence))
			awaited = awaited[1:]
		}
		return true, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil, fmt.Errorf("after %s: %w", stepTimeout, missing)
	}
	return seen, err
}

// stays repeats the step's checks for the time step.stays, and returns an error if one fails.
func (r *session) stays(ctx context.Context, step step) error {
	if step.stays == 0 {
		return nil
	}
	err := wait.PollUntilContextTimeout(ctx, pollInterval, step.stays, true, func(ctx context.Context) (bool, error) {
		seen, err := r.observer.observe(ctx)
		if err != nil {
			return false, err
		}
		for _, check := range step.checks {
			if _, err := check(seen); err != nil {
				return false, err
			}
		}
		return false, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil
	}
	return err
}

// show runs the step's further kubectl commands and prints their output.
func (r *session) show(ctx context.Context, step step) error {
	for _, shown := range step.show {
		answer, err := r.kubectl.run(ctx, shown.command...)
		if err != nil {
			return err
		}
		r.screen.command(shown.typed(), section(answer, shown.section))
	}
	return nil
}

// check prints every check that passes and returns the error of the first that fails.
func (r *session) check(seen *observation, step step) error {
	for _, check := range step.checks {
		sentence, err := check(seen)
		if err != nil {
			return err
		}
		r.screen.right(sentence)
	}
	return nil
}

// conclude fails if the invariant checker found a violation or missed a binding.
func (r *session) conclude(ctx context.Context, steps []step, took time.Duration) error {
	if err := r.checker.Flush(ctx); err != nil {
		return err
	}
	if broken := r.checker.Violations(); len(broken) > 0 {
		return fmt.Errorf("invariant %s", broken[0])
	}
	bindings := 0
	for _, step := range steps {
		bindings += step.binds
	}
	if judged := r.checker.Bindings(); judged != bindings {
		return fmt.Errorf("the invariant checker judged %d bindings, want %d", judged, bindings)
	}
	r.screen.title("All true")
	r.screen.right(fmt.Sprintf("invariants I1, I2 and I4 held throughout: %d bindings judged", bindings))
	for _, invariant := range watched {
		r.screen.line("   " + invariant)
	}
	r.screen.prose(fmt.Sprintf("%d steps took %s", len(steps), seconds(took)))
	return nil
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%.1f s", d.Seconds())
}
