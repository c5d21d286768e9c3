// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// Patience bounds every wait for something that should take seconds.
	Patience = 90 * time.Second
	// PollStep is how often a wait looks.
	PollStep = 50 * time.Millisecond
	// watchFor is how long Never looks.
	watchFor = 3 * time.Second
)

// Eventually waits until the condition holds; what names it.
func (e *Env) Eventually(what string, holds func() bool) {
	e.Helper()
	err := wait.PollUntilContextTimeout(e.waitContext(), PollStep, Patience, true,
		func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		e.Fatalf("waited %v in vain: %s", Patience, what)
	}
}

// Until waits until wrong returns "": what is still wrong is part of the failure.
func (e *Env) Until(what string, wrong func(context.Context) string) {
	e.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(e.waitContext(), PollStep, Patience, true, func(ctx context.Context) (bool, error) {
		last = wrong(ctx)
		return last == "", nil
	})
	if err != nil {
		e.Fatalf("waited %v in vain: %s: %s", Patience, what, last)
	}
}

// Never fails the test if the condition comes to hold within a few seconds.
func (e *Env) Never(what string, holds func() bool) {
	e.Helper()
	err := wait.PollUntilContextTimeout(e.Context(), PollStep, watchFor, true,
		func(context.Context) (bool, error) { return holds(), nil })
	if err == nil {
		e.Error(what)
	}
}

// waitContext returns the context of a wait. Waits of the test end with it; its context is done
// when its cleanups run, and their waits have none but Patience to end them.
func (e *Env) waitContext() context.Context {
	if e.Context().Err() != nil {
		return context.Background()
	}
	return e.Context()
}

// Text is the text of an error, "" for nil.
func Text(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}
