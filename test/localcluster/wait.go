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

// errNotReady is the cause of a timeout during the start.
var errNotReady = fmt.Errorf("not ready after %s", readyTimeout)

// poll calls a condition until it returns true or an error, for at most readyTimeout.
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

// found converts the error of a get request: nil to true, NotFound to false. It returns other
// errors.
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

// sleep waits for an interval, or until ctx is done.
func sleep(ctx context.Context, interval time.Duration) error {
	select {
	case <-time.After(interval):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Time limits and sizes for the wait for a component.
const (
	// readyTimeout limits the wait for a component to become ready.
	readyTimeout = 50 * time.Second
	// probeInterval is the interval of probes; probeTimeout is the time limit of a probe.
	probeInterval = 100 * time.Millisecond
	probeTimeout  = 5 * time.Second
	// logTail is the number of log lines in a ComponentError, the error of a failed component.
	logTail = 15
)

// stopGrace is the time between SIGTERM and SIGKILL. It is short because the end of a cluster
// removes its data anyway.
const stopGrace = 5 * time.Second
