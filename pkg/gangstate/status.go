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

// Status is what users read about a gang.
type Status struct {
	Phase Phase
	// Sentence says why the gang waits; "" if it does not.
	Sentence string
	Gang     gangs.Gang
	// Pods are the members that wait.
	Pods []*v1.Pod
	// RefusedSince is when they were refused for the first time, zero if they were not.
	RefusedSince time.Time
}

// Status returns what there is to write about a gang now.
func (t *Tracker) Status(key gangs.Key) Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	if g == nil || g.onlyRetries() {
		return Status{}
	}
	declared, readiness, err := g.read()
	defer t.observe(g)
	status := Status{Phase: g.currentPhase(), Gang: declared, Pods: g.unplanned()}
	if len(status.Pods) == 0 {
		return status // no pod waits, or none for this scheduler
	}
	var lookup *gangs.LookupError
	switch {
	case errors.As(err, &lookup):
		status.Sentence = "waiting for " + key.String() + ", which " + lookupReason(lookup)
	case err != nil:
		status.Sentence = err.Error()
	case !g.schedulable(readiness):
		status.Sentence = cmp.Or(readiness.Problem, g.evictingSentence(), readiness.Waiting)
	case g.refusal != nil:
		status.Sentence, status.RefusedSince = g.refusal.message, g.retry.since
	}
	return status
}

// onlyRetries reports that a gang of a PodGroup cycle is tracked for the sake of its failed
// plans or held room alone.
func (g *Gang) onlyRetries() bool {
	return g.podGroup != nil && g.refusal == nil && !g.loss.evicting && g.reservation.nodes == nil && !g.reservation.blocked && g.loss.since.IsZero()
}

// lookupReason is the predicate of a lookup's sentence; the subject is in the sentence already.
func lookupReason(err *gangs.LookupError) string {
	return strings.TrimPrefix(err.Error(), err.Key.String()+" ")
}
