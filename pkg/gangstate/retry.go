// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A refused gang is not planned again at every event that may help it, but after
// firstBackoff at the soonest, and then twice as long each time up to maxBackoff. That is
// less than the ten seconds for which stock keeps a pod: large gangs must retry often, or
// smaller ones take the free nodes first.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 4 * time.Second
)

// refusalLife is how long a refusal answers the members whose cycles come right after
// the cycle that was refused. Events that can help the gang end it earlier.
const refusalLife = 5 * time.Second

// retryMemberLife is how long the other members rely on the member that was activated to
// have the gang planned again: longer than the longest backoff of a pod. After that
// another member may be activated.
const retryMemberLife = 15 * time.Second

// pictureLag is how far what a plan reads may be behind an event. Most events reach the queue
// after the scheduler's cache. These do not: the queue gets the deletion of a node before the
// cache, and the handlers that fill the caches of volumes and devices run beside the queue's.
const pictureLag = 100 * time.Millisecond

// refusal is the last plan's "no".
type refusal struct {
	message string
	at      time.Time
	// to is the member in whose cycle the gang was refused, "" for none.
	to types.UID
	// stale reports that members came, went or changed since.
	stale bool
	// judged is the last event that RetryOthers found to help no member.
	judged any
}

// answers reports whether the refusal still answers a member's cycle. The member in whose
// cycle the gang was refused has it planned again: it may have missed an event, because
// the queue sends hints only to waiting pods.
func (r *refusal) answers(uid types.UID, now time.Time) bool {
	return r != nil && !r.stale && r.to != uid && now.Sub(r.at) <= refusalLife
}

// retry is what a gang remembers from one plan to the next.
type retry struct {
	// refusals counts the refusals since a member was last placed; the first came at since.
	refusals int
	since    time.Time
	// pending reports that an event since the last refusal may help the gang.
	pending bool
	// member was activated to have the gang planned again, at that time.
	member types.UID
	at     time.Time
	// unseenUntil is when the last event must have reached what plans read.
	unseenUntil time.Time
	// limits is the largest number of members that a node takes, by role and node, as
	// filters refused more.
	limits map[string]map[string]int
	// replans counts the plans that failed since the gang was last refused or placed.
	replans int
}

// limit notes that a node takes no more than so many members of a role.
func (r *retry) limit(role, node string, most int) {
	if r.limits == nil {
		r.limits = map[string]map[string]int{}
	}
	if r.limits[role] == nil {
		r.limits[role] = map[string]int{}
	}
	r.limits[role][node] = most
}

// forgetPlans drops what failed plans taught.
func (r *retry) forgetPlans() { r.replans, r.limits = 0, nil }

// backoff is how long the gang backs off after so many refusals.
func (r *retry) backoff() time.Duration {
	pause := firstBackoff
	for i := 1; i < r.refusals && pause < maxBackoff; i++ {
		pause *= 2
	}
	return min(pause, maxBackoff)
}

// noteLate notes an event that what plans read may not show yet.
func (r *retry) noteLate(event Event, now time.Time) {
	if event.Late {
		r.unseenUntil = now.Add(pictureLag)
	}
}

// mayMiss reports that a plan that began then may not show the last event.
func (r *retry) mayMiss(began time.Time) bool { return began.Before(r.unseenUntil) }

// memberAsks reports whether an activated member is still expected to have the gang planned.
func (r *retry) memberAsks(now time.Time) bool {
	return r.member != "" && now.Sub(r.at) < retryMemberLife
}
