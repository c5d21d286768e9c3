// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// A refused gang is not planned again at every event that may help it. The first retry is
// after firstBackoff, each further retry after twice the time, up to maxBackoff. That is
// less than the ten seconds of the stock pod backoff: large gangs must retry often, or
// smaller ones take the free nodes first.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 4 * time.Second
)

// refusalLife is how long a refusal applies to the members whose cycles follow the refused
// cycle. Events that can help the gang end it earlier.
const refusalLife = 5 * time.Second

// retryMemberLife is how long the gang waits for the cycle of its activated member. It is
// longer than the longest backoff of a pod. Afterwards another member may be activated.
const retryMemberLife = 15 * time.Second

// cacheLag is how far what a plan reads may be behind an event. Most events reach the queue
// after the scheduler's cache. These do not: the queue gets the deletion of a node before the
// cache, and the handlers that fill the caches of volumes and devices run beside the queue's.
const cacheLag = 100 * time.Millisecond

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

// answers reports whether the refusal applies to a member's cycle. It does not apply to
// another cycle of the refused member, in which the gang is planned again: the member may
// have missed an event, because the queue sends hints only to waiting pods.
func (r *refusal) answers(uid types.UID, now time.Time) bool {
	return r != nil && !r.stale && r.to != uid && now.Sub(r.at) <= refusalLife
}

// retry is a gang's state between plans.
type retry struct {
	// refusals counts the refusals since a member was last placed. since is the time of the
	// first.
	refusals int
	since    time.Time
	// pending is true if an event since the last refusal may help the gang.
	pending bool
	// member was activated at time at. The gang is planned again in its cycle.
	member types.UID
	at     time.Time
	// unseenUntil is when the last event must have reached what plans read.
	unseenUntil time.Time
	// limits is the largest number of members that a node takes, by role and signature and
	// by node, as filters refused more.
	limits map[gangs.RoleSignature]map[string]int
	// replans counts the plans that failed since the gang was last refused or placed.
	replans int
}

// limit notes that a node takes no more than so many members of a role with one signature.
func (r *retry) limit(role gangs.RoleSignature, node string, most int) {
	if r.limits == nil {
		r.limits = map[gangs.RoleSignature]map[string]int{}
	}
	if r.limits[role] == nil {
		r.limits[role] = map[string]int{}
	}
	r.limits[role][node] = most
}

// forgetPlans drops the results of failed plans.
func (r *retry) forgetPlans() { r.replans, r.limits = 0, nil }

// backoff returns the backoff after that many refusals.
func (r *retry) backoff() time.Duration {
	pause := firstBackoff
	for i := 1; i < r.refusals && pause < maxBackoff; i++ {
		pause *= 2
	}
	return min(pause, maxBackoff)
}

// Event is a change of the cluster that may help members of a refused gang.
type Event struct {
	// ID identifies the event and is comparable.
	ID any
	// Affects reports whether the event may help a pod; nil if it may help any.
	Affects func(*v1.Pod) bool
	// Late reports that what plans read may not show the event yet. If a plan that begins
	// within cacheLag finds no room, the gang is planned once more.
	Late bool
}

// noteLate notes an event that what plans read may not show yet.
func (r *retry) noteLate(event Event, now time.Time) {
	if event.Late {
		r.unseenUntil = now.Add(cacheLag)
	}
}

// mayMiss reports that a plan that began then may not show the last event.
func (r *retry) mayMiss(began time.Time) bool { return began.Before(r.unseenUntil) }

// memberAsks reports whether an activated member is still expected to have the gang planned.
func (r *retry) memberAsks(now time.Time) bool {
	return r.member != "" && now.Sub(r.at) < retryMemberLife
}
