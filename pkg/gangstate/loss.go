// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A refused eviction is requested again after evictionPause, then each time after twice the
// pause up to maxEvictionPause. PodDisruptionBudgets allow evictions again when other pods
// become ready. This takes seconds to minutes.
const (
	evictionPause    = time.Second
	maxEvictionPause = 30 * time.Second
)

// whatIfPause is how long the result of a what-if plan (a cluster without some pods) is
// reused. Such a plan costs as much as the first plan on a cluster, in a cycle that delays
// all pods.
const whatIfPause = 30 * time.Second

// loss describes the lost members of a gang that ran.
type loss struct {
	// since is the time at which the gang lost a member that its quorum needs. It is zero
	// while the quorum is met.
	since time.Time
	// searched is the time of the last search for another place for the whole gang.
	searched time.Time
	// evicting is true while the remaining members are being evicted. No member joins the
	// gang until they are gone: it would return to a place without room for the whole gang.
	evicting bool
	// after is the healAfter at the start of the eviction.
	after time.Duration
	// next is the time of the next eviction requests. pause is the time since the last
	// requests.
	next  time.Time
	pause time.Duration
	// budgeted is a member that a PodDisruptionBudget protects.
	budgeted string
}

// settle ends the loss if the quorum is met again or the gang no longer runs.
func (l *loss) settle(quorum bool, running int) {
	if quorum || running == 0 {
		*l = loss{}
	}
}

// due reports whether the gang has lacked members long enough to search for another place.
func (l *loss) due(healAfter time.Duration, now time.Time) bool {
	return healAfter > 0 && !l.evicting && !l.since.IsZero() && now.Sub(l.since) >= healAfter && now.Sub(l.searched) >= whatIfPause
}

// begin starts the eviction of the remaining members.
func (l *loss) begin(after time.Duration) { l.evicting, l.after = true, after }

// evictionDue reports whether evictions are due now. If so, it schedules the next time.
func (l *loss) evictionDue(now time.Time) bool {
	if !l.evicting || now.Before(l.next) {
		return false
	}
	l.pause = min(max(evictionPause, 2*l.pause), maxEvictionPause)
	l.next = now.Add(l.pause)
	return true
}

// Lost is a gang that runs without its quorum.
type Lost struct {
	// Left are the running members.
	Left []*v1.Pod
	// Request is the request for the gang as if none of its members had a node.
	Request gangs.Request
	// Search is true if a search for another place for the whole gang is due and a
	// controller would replace each evicted member.
	Search bool
	// unowned is a member that no controller would replace.
	unowned string
	due     bool
}
