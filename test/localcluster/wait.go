// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// errNotReady is the cause when a wait of the start takes too long.
var errNotReady = fmt.Errorf("not there after %s", readyTimeout)

// poll asks until the answer is yes or an error, for at most readyTimeout.
func poll(ctx context.Context, what string, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errNotReady)
	defer cancel()
	for {
		done, err := ask(ctx)
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(err, context.Cause(ctx)))
		}
		if done {
			return nil
		}
		if err := sleep(ctx, probeInterval); err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}

// found turns the error of a get into whether the object is there.
func found(err error) (bool, error) {
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// waitFor waits until a channel is closed.
func waitFor(ctx context.Context, closed <-chan struct{}) error {
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sleep waits for the next look at a condition.
func sleep(ctx context.Context, interval time.Duration) error {
	select {
	case <-time.After(interval):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Waiting for a component.
const (
	// readyTimeout is how long a component may take to be ready.
	readyTimeout = 50 * time.Second
	// probeInterval is how often it is asked, probeTimeout how long one answer may take.
	probeInterval = 100 * time.Millisecond
	probeTimeout  = 5 * time.Second
	// logTail is how many lines of its log are shown when it fails.
	logTail = 15
)

// stopGrace is how long components may take to end by themselves. What they hold is thrown away anyway.
const stopGrace = 5 * time.Second
