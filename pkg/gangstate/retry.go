// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A refused gang is not planned again at every event that may help it. The first retry is
// after firstBackoff, each further retry after twice the time, up to maxBackoff. That is
// less than the ten seconds of the stock pod backoff: large gangs must retry often, or
// smaller ones take the free nodes first.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 4 * time.Second
)

// refusalLife is how long the cycles of the other members of a refused gang repeat the
// refusal without a new plan. An event that can help the gang ends this time early.
const refusalLife = 5 * time.Second

// retryMemberLife is how long a refused gang waits for the scheduling cycle of the member
// that was activated to have the gang planned again. It is longer than the longest
// backoff of a pod. Afterwards another member may be activated.
const retryMemberLife = 15 * time.Second

// cacheLag is how long after an event a plan may read caches that do not show the event
// yet. Most events reach the queue after the scheduler's cache. The exceptions are the deletion
// of a node, and events of volumes and devices: other event handlers fill those caches.
const cacheLag = 100 * time.Millisecond

// refusal records why and when a gang could not be placed.
type refusal struct {
	message string
	at      time.Time
	// to is the member in whose cycle the gang was refused, "" for none.
	to types.UID
	// heldBack is true if the gang has room, but only on nodes reserved for another gang.
	heldBack bool
	// temporary is true if the planner did not run for a reason that passes with time.
	temporary bool
	// stale is true if members came, left or changed after the refusal.
	stale bool
	// judged is the ID of the last event that RetryOthers has compared with the members. Each
	// further hint about the same event is ignored without comparing it with all members.
	judged any
}

// answers reports whether a member's cycle repeats this refusal without a new plan. It
// does not in another cycle of the member whose cycle was refused (to): the gang is
// planned again, because it may have missed an event. The queue sends hints only to
// waiting pods.
func (r *refusal) answers(uid types.UID, now time.Time) bool {
	return r != nil && !r.stale && r.to != uid && now.Sub(r.at) <= refusalLife
}

// retry is the state of a refused gang between two plans.
type retry struct {
	// refusals counts the refusals since a member was last placed. since is the time of
	// the first refusal.
	refusals int
	since    time.Time
	// slow is how long the last plan took if it was slow, otherwise 0. slowAt is the time at
	// which that plan ended.
	slow   time.Duration
	slowAt time.Time
	// pending is true if the gang must be planned again after its backoff, because an
	// event since its refusal may help it.
	pending bool
	// member is the member that was activated, at time at, so that the gang is planned in
	// its scheduling cycle. It is "" for none.
	member types.UID
	at     time.Time
	// unseenUntil is the time at which the caches that plans read show the last event at
	// the latest.
	unseenUntil time.Time
	// lessons are the refusals of planned nodes by filters, except those that an event may have
	// made false.
	lessons []lesson
	// replans counts the plans that failed since the gang was last refused or placed.
	// learned is true if one of these plans added a lesson.
	replans int
	learned bool
}

// restart begins a new series of plans. The lessons of earlier ones are kept.
func (r *retry) restart() { r.replans, r.learned = 0, false }

// forgetPlans drops the count of failed plans and all lessons learned from them.
func (r *retry) forgetPlans() {
	r.restart()
	r.lessons = nil
}

// backoff returns how long the gang waits after its last refusal, by the number of
// refusals.
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
	// Late reports that the caches that plans read may not show the event yet. If a plan
	// that begins within cacheLag finds no room, the gang is planned once more.
	Late bool
	// Node is the only node on which the event can change what filters accept. It is "" for
	// an event that may change it anywhere.
	Node string
}

// note records an event that may help the gang. It drops the lessons that the event may have
// made false. If the event is late, plans that begin soon may miss it.
func (r *retry) note(event Event, now time.Time) {
	r.forgetLessons(event.Node)
	if event.Late {
		r.unseenUntil = now.Add(cacheLag)
	}
}

// mayMiss reports whether a plan that began at this time may have missed the last event.
func (r *retry) mayMiss(began time.Time) bool { return began.Before(r.unseenUntil) }

// overdue reports whether the cycle of the activated member did not come in time.
func (r *retry) overdue(now time.Time) bool {
	return r.member != "" && !r.memberAsks(now)
}

// memberAsks reports whether the gang still waits for the scheduling cycle of its
// activated member, in which the gang is planned again.
func (r *retry) memberAsks(now time.Time) bool {
	return r.member != "" && now.Sub(r.at) < retryMemberLife
}
