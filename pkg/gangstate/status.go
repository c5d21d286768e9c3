// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"cmp"
	"errors"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Status is the user-visible state of a gang.
type Status struct {
	Phase Phase
	// Sentence explains why the gang waits. It is "" if the gang does not wait.
	Sentence string
	// Incomplete is true if members are missing or not ready, or the gang's declaration
	// has an error. More nodes would not help such a gang.
	Incomplete bool
	// HeldBack is true if the gang has room, but only on nodes reserved for another gang.
	// The other gang needs nodes; this one waits for its turn.
	HeldBack bool
	// Problem is true if the sentence is about a mistake in the declaration or the members.
	Problem bool
	Gang    gangs.Gang
	// Pods are the waiting members.
	Pods []*v1.Pod
	// ProgressAt is the time at which the gang last came closer to its quorum. It is zero for
	// a gang without room, which lacks no member.
	ProgressAt time.Time
	// RefusedSince is the time of the gang's first refusal since a member was last
	// placed, zero if there was none.
	RefusedSince time.Time
}

// Status returns the current status of a gang, the zero Status if there is nothing to report.
func (t *Tracker) Status(key gangs.Key) Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.onlyRetries() {
		return Status{}
	}
	declared, readiness, err := g.read()
	defer t.observe(g)
	status := Status{Phase: g.currentPhase(), Gang: declared, Pods: g.unplanned(), ProgressAt: g.progressAt}
	unfinished := err == nil && g.partial.unfinished() && !g.loss.evicting
	if unfinished {
		status.Pods = g.notReserved()
	}
	if len(status.Pods) == 0 {
		return status // no pod waits, or none for this scheduler
	}
	var lookup *gangs.LookupError
	switch {
	case errors.As(err, &lookup):
		status.Incomplete = true
		status.Sentence = "waiting for " + key.String() + ", which " + lookupReason(lookup)
	case err != nil:
		status.Incomplete, status.Problem = true, true
		status.Sentence = err.Error()
	case !g.schedulable(readiness):
		status.Incomplete, status.Problem = true, readiness.Problem != ""
		status.Sentence = cmp.Or(readiness.Problem, g.evictingSentence(), readiness.Waiting)
	case unfinished:
		status.Sentence = t.unfinishedSentence(g, declared)
	case g.refusal != nil:
		status.Sentence, status.RefusedSince, status.HeldBack = g.refusal.message, g.retry.since, g.refusal.heldBack
		status.ProgressAt = time.Time{}
	}
	return status
}

// onlyRetries reports whether a gang that the scheduler's own PodGroup cycles place is
// tracked only because of failed plans or held nodes, so that there is nothing to report
// about it.
func (g *Gang) onlyRetries() bool {
	return g.podGroup != nil && g.refusal == nil && !g.loss.evicting && !g.partial.unfinished() && g.reservation.nodes == nil && !g.reservation.blocked && g.loss.since.IsZero()
}

// lookupReason returns the text of a lookup error without its subject, the key of the
// object. The caller's sentence already has the subject.
func lookupReason(err *gangs.LookupError) string {
	return strings.TrimPrefix(err.Error(), err.Key.String()+" ")
}
