// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// An eviction that the API server refused is requested again after evictionPause, then each
// time after twice the pause up to maxEvictionPause. PodDisruptionBudgets allow evictions
// again when other pods become ready. This takes seconds to minutes.
const (
	evictionPause    = time.Second
	maxEvictionPause = 30 * time.Second
)

// whatIfPause is the shortest time between two what-if plans of a gang: plans for a
// cluster without some of its pods. Such a plan costs as much as the first plan after a
// start, and the scheduling cycle that makes it delays all other pods.
const whatIfPause = 30 * time.Second

// loss is the state of a running gang that has lost members which its quorum (the members
// that must run together) needs, and of the eviction of a gang that cannot run whole.
type loss struct {
	// since is the time at which the gang lost a member that its quorum needs. It is zero
	// while the quorum is met.
	since time.Time
	// searched is the time of the last search for other nodes that fit the whole gang.
	searched time.Time
	// evicting is true while the members on nodes are being evicted, after a loss or because
	// the others could not be bound. No new member is placed before they are gone: it would
	// start where the whole gang cannot run.
	evicting bool
	// after is the value of the argument healAfter (how long the quorum may be unmet before
	// the gang is evicted) when the eviction began, for messages.
	after time.Duration
	// next is the time at which evictions are requested again. pause is the current
	// interval between two requests.
	next  time.Time
	pause time.Duration
	// blocked explains why a member is not evicted now, "" if nothing prevents it.
	blocked string
}

// settle clears the loss if the quorum is met again (quorum) or no member runs any more.
func (l *loss) settle(quorum bool, running int) {
	if quorum || running == 0 {
		*l = loss{}
	}
}

// due reports whether the quorum has been unmet for at least healAfter, and the last
// search for other nodes was long enough ago to search again.
func (l *loss) due(healAfter time.Duration, now time.Time) bool {
	return healAfter > 0 && !l.evicting && !l.since.IsZero() && now.Sub(l.since) >= healAfter && now.Sub(l.searched) >= whatIfPause
}

// begin starts the eviction of the members on nodes.
func (l *loss) begin(after time.Duration) { l.evicting, l.after = true, after }

// evictionDue reports whether evictions must be requested now. If so, it schedules the
// next request.
func (l *loss) evictionDue(now time.Time) bool {
	if !l.evicting || now.Before(l.next) {
		return false
	}
	l.pause = min(max(evictionPause, 2*l.pause), maxEvictionPause)
	l.next = now.Add(l.pause)
	return true
}

// Lost describes a running gang that has too few members for its quorum. The planner is
// asked whether the whole gang would fit elsewhere.
type Lost struct {
	// Left are the running members.
	Left []*v1.Pod
	// Request asks for nodes for the whole gang, as if none of its members had a node.
	Request gangs.Request
	// Search is true if the planner must search for other nodes now: the search is due,
	// and a controller would replace each evicted member.
	Search bool
	// unowned is the name of a running member that no controller would replace, "" for
	// none.
	unowned string
	due     bool
}
