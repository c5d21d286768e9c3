// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"fmt"
	"time"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// partial is the state of a gang that was allowed to bind and is below its minimum because
// bindings failed. The places of its remaining members are kept, and they are planned
// before all other gangs.
type partial struct {
	// since is the time at which a binding first failed while the gang was below its
	// minimum. It is zero if that did not happen since the quorum last ran.
	since time.Time
	// failure describes the binding that failed first, as half a sentence.
	failure string
}

// begin records that a binding failed while the gang was below its minimum.
func (r *partial) begin(failure string, now time.Time) {
	if r.since.IsZero() {
		r.since, r.failure = now, failure
	}
}

// unfinished reports whether the gang is below its minimum because bindings failed.
func (r *partial) unfinished() bool { return !r.since.IsZero() }

// settle ends the state if over is true: the quorum runs, or nothing of the gang runs or binds.
func (r *partial) settle(over bool) {
	if over {
		*r = partial{}
	}
}

// due reports whether the gang has been below its minimum for at least healAfter, so that the
// members that run must be evicted.
func (r *partial) due(healAfter time.Duration, now time.Time) bool {
	return healAfter > 0 && r.unfinished() && now.Sub(r.since) >= healAfter
}

// perhapsBound is the refusal of a member whose binding ended without an answer.
func perhapsBound(key gangs.Key, node string) string {
	return key.Messagef("the binding of this member to node %s ended without an answer; it is tried again once the API server shows that it is not bound", node)
}

// bindingFailed describes a binding that failed. An empty cause means that it is unknown.
func bindingFailed(pod, node, cause string) string {
	text := fmt.Sprintf("binding pod %s to node %s failed", pod, node)
	if cause != "" {
		text += " (" + cause + ")"
	}
	return text
}
