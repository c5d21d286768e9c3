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
	// stepTimeout is how long a step may take; each takes seconds.
	stepTimeout = 90 * time.Second
	// glance is how often the API is asked whether a step is done.
	glance = 100 * time.Millisecond
)

// stage is where the steps are played.
type stage struct {
	observer *observer
	kubectl  kubectl
	checker  *invariants.Checker
	screen   *screen
}

// perform plays the steps under the invariant checker.
func perform(ctx context.Context, cluster *localcluster.Cluster, o options, s *screen) error {
	observer, err := newObserver(cluster.AdminConfig(), o.fleet)
	if err != nil {
		return err
	}
	checker, err := invariants.Watch(ctx, cluster.AdminConfig(), invariants.Options{})
	if err != nil {
		return fmt.Errorf("starting the invariant checker: %w", err)
	}
	defer checker.Stop()
	on := &stage{
		observer: observer, checker: checker, screen: s,
		kubectl: kubectl{cluster: cluster},
	}
	if _, err := on.kubectl.run(ctx, "create", "namespace", namespace); err != nil {
		return err
	}
	began := time.Now()
	for _, step := range o.steps {
		if err := on.play(ctx, step); err != nil {
			return err
		}
	}
	return on.conclude(ctx, o.steps, time.Since(began))
}

// play does one step: the command, the wait, the picture, the checks.
func (on *stage) play(ctx context.Context, step step) error {
	on.screen.title(step.title)
	on.screen.say(step.story)
	began := time.Now()
	answer, err := on.kubectl.run(ctx, step.command...)
	if err != nil {
		return err
	}
	on.screen.command(step.typed(), answer)
	seen, err := on.wait(ctx, step, began)
	if err != nil {
		return err
	}
	if err := on.stays(ctx, step); err != nil {
		return err
	}
	if err := on.show(ctx, step); err != nil {
		return err
	}
	on.screen.draw(picture.Draw(seen.fleet(), on.screen.colour))
	for _, g := range step.places {
		on.screen.list("who has which pairs of "+g.String()+", by the hardware's data:", seen.pairLines(g))
	}
	return on.check(seen, step)
}

// wait looks until what the step waits for has come, and says when what came.
func (on *stage) wait(ctx context.Context, step step, began time.Time) (*observation, error) {
	var seen *observation
	awaited := step.awaited
	missing := errors.New("nothing was seen yet")
	err := wait.PollUntilContextTimeout(ctx, glance, stepTimeout, true, func(ctx context.Context) (bool, error) {
		var err error
		if seen, err = on.observer.observe(ctx); err != nil {
			return false, err
		}
		if broken := on.checker.Violations(); len(broken) > 0 {
			return false, fmt.Errorf("invariant %s", broken[0])
		}
		for len(awaited) > 0 {
			var what string
			if what, missing = awaited[0](seen); missing != nil {
				return false, nil
			}
			on.screen.say(fmt.Sprintf("after %s: %s", seconds(time.Since(began)), what))
			awaited = awaited[1:]
		}
		return true, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil, fmt.Errorf("after %s: %w", stepTimeout, missing)
	}
	return seen, err
}

// stays looks for a while whether the checks remain true.
func (on *stage) stays(ctx context.Context, step step) error {
	if step.stays == 0 {
		return nil
	}
	err := wait.PollUntilContextTimeout(ctx, glance, step.stays, true, func(ctx context.Context) (bool, error) {
		seen, err := on.observer.observe(ctx)
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

// show prints kubectl's own words.
func (on *stage) show(ctx context.Context, step step) error {
	for _, words := range step.show {
		answer, err := on.kubectl.run(ctx, words.command...)
		if err != nil {
			return err
		}
		on.screen.command(words.typed(), section(answer, words.section))
	}
	return nil
}

// check prints every check that holds and returns the first that does not.
func (on *stage) check(seen *observation, step step) error {
	for _, check := range step.checks {
		sentence, err := check(seen)
		if err != nil {
			return err
		}
		on.screen.right(sentence)
	}
	return nil
}

// conclude asks the invariant checker for its verdict on the whole demo.
func (on *stage) conclude(ctx context.Context, steps []step, took time.Duration) error {
	if err := on.checker.Flush(ctx); err != nil {
		return err
	}
	if broken := on.checker.Violations(); len(broken) > 0 {
		return fmt.Errorf("invariant %s", broken[0])
	}
	bindings := 0
	for _, step := range steps {
		bindings += step.binds
	}
	if judged := on.checker.Bindings(); judged != bindings {
		return fmt.Errorf("the invariant checker judged %d bindings, want %d", judged, bindings)
	}
	on.screen.title("All true")
	on.screen.right(fmt.Sprintf("invariants I1, I2 and I4 held throughout: %d bindings judged", bindings))
	on.screen.say(fmt.Sprintf("%d steps took %s", len(steps), seconds(took)))
	return nil
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%.1f s", d.Seconds())
}
