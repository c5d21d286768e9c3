// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"context"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// flushTimeout limits the wait for the watches at the end of a test.
const flushTimeout = 30 * time.Second

// Run starts a checker with default options. At the end of the test it fails the test with
// every violation. Start the cluster first: its cleanup then runs after the checker's.
func Run(t testing.TB, cfg *rest.Config) *Checker {
	t.Helper()
	return RunWith(t, cfg, Options{})
}

// RunWith is Run with options.
func RunWith(t testing.TB, cfg *rest.Config, options Options) *Checker {
	t.Helper()
	// t.Context() is done before cleanups run.
	checker, err := Watch(context.Background(), cfg, options)
	if err != nil {
		t.Fatalf("starting the invariant checker: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		if err := checker.Flush(ctx); err != nil {
			t.Errorf("the invariant checker did not see the end of this test: %v", err)
		}
		checker.Stop()
		for _, violation := range checker.Violations() {
			t.Errorf("invariant %s", violation)
		}
	})
	return checker
}
