// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// An eviction that was refused is requested again after evictionPause, and then after
// twice as long each time: PodDisruptionBudgets open when pods elsewhere become ready,
// which takes seconds to minutes.
const (
	evictionPause    = time.Second
	maxEvictionPause = 30 * time.Second
)

// whatIfPause is how long the answer to "what if some pods were gone" serves. Finding it
// costs as much as the first plan on a cluster, in a cycle for which all pods wait.
const whatIfPause = 30 * time.Second

// loss is what a gang that ran has lost.
type loss struct {
	// since is when the gang lost a member that its quorum needs; zero while the quorum is met.
	since time.Time
	// searched is when another place for the whole gang was last looked for.
	searched time.Time
	// evicting reports that the members that are left are being evicted. No member joins the
	// gang until they are gone, or it would come back where it cannot be whole.
	evicting bool
	// after is the healAfter with which the eviction began.
	after time.Duration
	// next is when evictions are requested again, pause the time since the last requests.
	next  time.Time
	pause time.Duration
	// budgeted is a member that a PodDisruptionBudget protects.
	budgeted string
}

// settle ends a loss that is made good, or the loss of a gang that no longer runs.
func (l *loss) settle(quorum bool, running int) {
	if quorum || running == 0 {
		*l = loss{}
	}
}

// due reports that the gang has lacked members for long enough to look for another place.
func (l *loss) due(healAfter time.Duration, now time.Time) bool {
	return healAfter > 0 && !l.evicting && !l.since.IsZero() && now.Sub(l.since) >= healAfter && now.Sub(l.searched) >= whatIfPause
}

// begin starts the eviction of the members that are left.
func (l *loss) begin(after time.Duration) { l.evicting, l.after = true, after }

// evictionDue reports that evictions are to be requested now, and schedules the next time.
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
	// Left are the members that run.
	Left []*v1.Pod
	// Request is the gang as if none of its members had a node.
	Request gangs.Request
	// Search reports that it is time to look for another place for the whole gang, and that
	// a controller would replace each evicted member.
	Search bool
	// unowned is a member that no controller would replace.
	unowned string
	due     bool
}
