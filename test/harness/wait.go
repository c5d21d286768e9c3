// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// Patience limits every wait for a change that should take seconds.
	Patience = 90 * time.Second
	// PollStep is the poll interval of waits.
	PollStep = 50 * time.Millisecond
	// watchFor is how long Never polls.
	watchFor = 3 * time.Second
)

// Eventually waits until the condition holds; what names the condition in a failure.
func (e *Env) Eventually(what string, holds func() bool) {
	e.Helper()
	err := wait.PollUntilContextTimeout(e.waitContext(), PollStep, Patience, true,
		func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		e.Fatalf("waited %v in vain: %s", Patience, what)
	}
}

// Until waits until wrong returns "". A failure includes the last result of wrong.
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

// Never fails the test if the condition becomes true within watchFor.
func (e *Env) Never(what string, holds func() bool) {
	e.Helper()
	err := wait.PollUntilContextTimeout(e.Context(), PollStep, watchFor, true,
		func(context.Context) (bool, error) { return holds(), nil })
	if err == nil {
		e.Error(what)
	}
}

// waitContext returns the context of a wait: the test's context, so that waits end with the
// test. When the test's cleanups run, that context is already done. Their waits get a context
// that does not end.
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
