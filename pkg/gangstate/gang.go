// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"cmp"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Gang is the state of one gang in a Tracker, which has all gangs. The Tracker's lock guards
// it.
type Gang struct {
	key     gangs.Key
	sources gangs.Sources
	// profile is the scheduler name of the pods that this scheduler places.
	profile string
	// lacks (Options.Lacks) returns why a ready pod can have no scheduling cycle, "" for none.
	lacks func(*v1.Pod) string
	// priority is the priority of the members. A gang whose members have different
	// priorities is an error and waits.
	priority int32
	// order is the creation time of the gang's first pod. The queue sorts by it and keeps
	// pods in heaps, so order no longer changes (orderFixed) once a member may have
	// entered the queue.
	order      time.Time
	orderFixed bool
	members    map[types.UID]gangs.Member
	// changes counts the changes of members. A plan is outdated if the count differs from
	// the count at the time when the plan was requested.
	changes int

	// own counts the members of the profile, whatever their state. counted is true while the
	// gang is in the metric of known gangs.
	own     int
	counted bool
	// ready counts the members that are placed (on a node) or could be placed now. placed
	// counts the placed members among them.
	ready, placed int
	// progress is the highest sum of the members and the ready members among them since the
	// quorum was last ready. progressAt is the time at which the sum last grew.
	progress   int
	progressAt time.Time
	// running is the number of members on nodes at the last evaluation of the gang.
	running int
	// min is the number of members in the quorum (those that must start together), as last
	// read from the gang's declaration, such as a JobSet. minKnown is false before the
	// first read, and again after a change of the declaration or a placement of a member.
	// It is also false while members run, because a member that joins a running gang waits
	// for no quorum.
	min      int
	minKnown bool
	// quorumReady caches whether members may be scheduled. A new member does not invalidate
	// it; a member that leaves does.
	quorumReady bool
	// activationDue is true if Tracker.Admit (which decides whether a pod may enter the queue)
	// found the quorum complete but could not activate the members that wait for it, because
	// it runs under the queue's lock. The next change of a member activates them.
	activationDue bool

	phase       Phase
	attempt     *Attempt
	refusal     *refusal
	retry       retry
	reservation Reservation
	run         run
	loss        loss
	clearing    clearing
	partial     partial
	// silencedAt is the time at which members without scheduling cycles were last marked
	// (neverScheduled) or activated, zero if none is marked.
	silencedAt time.Time
	// podGroup is set only for a gang that the scheduler's PodGroup cycle places.
	podGroup *podGroupState
}

// podGroupState is the additional state of a gang that PodGroup cycles place.
type podGroupState struct {
	gang gangs.Gang
	// awaitsCycle is true if a filter refused a planned node and no PodGroup cycle of the
	// gang has begun since.
	awaitsCycle bool
	// lastRefusal is the message with which the next cycle refuses the gang without a
	// plan, because too many plans failed. It is "" if the next cycle plans the gang.
	lastRefusal string
	// learnedAt is the time at which a filter last refused a planned node.
	learnedAt time.Time
	// heldSince is the time at which nodes were held for the unbound members of a partly
	// bound gang (HoldForRest).
	heldSince time.Time
}

// put adds a member or replaces its state.
func (g *Gang) put(m gangs.Member) {
	known := g.members[m.Pod.UID]
	old := known.Pod
	if m.Signature == 0 {
		m.Signature = known.Signature // binding a pod does not change its requests
	}
	m.Lacks = g.lackOf(known, m.Pod)
	g.drop(m.Pod.UID)
	g.add(m)
	g.priority = corev1helpers.PodPriority(m.Pod)
	if created := m.Pod.CreationTimestamp.Time; !g.orderFixed && created.Before(g.order) {
		g.order = created
	}
	if old == nil || counts(known) != counts(m) {
		g.markStale()
	}
	if old == nil || gangs.Placed(old) || !gangs.Placed(m.Pod) { // binding a member makes no plan outdated
		g.changes++
	}
	if gangs.Placed(m.Pod) && (old == nil || !gangs.Placed(old)) {
		g.minKnown, g.retry.refusals = false, 0 // a member that rejoins a running gang waits for no quorum
	}
}

// noteProgress records that the gang came closer to its quorum: a member was added or became
// ready. A member that replaces another is no progress: a gang whose pods come and go for ever
// must still report why it waits.
func (g *Gang) noteProgress(now time.Time) {
	if progress := len(g.members) + g.ready; progress > g.progress {
		g.progress, g.progressAt = progress, now
	}
}

// add adds a member that the gang does not have.
func (g *Gang) add(m gangs.Member) {
	g.members[m.Pod.UID] = m
	if m.Pod.Spec.SchedulerName == g.profile {
		g.own++
	}
	if occupies(m) {
		g.run.active++
	}
	if counts(m) {
		g.ready++
		if gangs.Placed(m.Pod) {
			g.placed++
		}
	}
}

// drop forgets a member.
func (g *Gang) drop(uid types.UID) {
	m, ok := g.members[uid]
	if !ok {
		return
	}
	delete(g.members, uid)
	if m.Pod.Spec.SchedulerName == g.profile {
		g.own--
	}
	if occupies(m) {
		g.run.active--
	}
	if counts(m) {
		g.ready--
		if gangs.Placed(m.Pod) {
			g.placed--
		}
	}
}

// neverScheduled is the reason in Lacks of a member that had no scheduling cycle in time.
const neverScheduled = "has had no scheduling cycle for 10s; a PreEnqueue plugin of the scheduler may keep it out of the queue"

// lackOf returns the reason why a ready pod can have no scheduling cycle, "" for none.
// known is the member as it was recorded before.
func (g *Gang) lackOf(known gangs.Member, pod *v1.Pod) string {
	if gangs.Placed(pod) || !gangs.Ready(pod) {
		return ""
	}
	if reason := g.lacks(pod); reason != "" || known.Lacks != neverScheduled {
		return reason
	}
	return neverScheduled
}

// markStale marks the gang's refusal as outdated, because members changed after it.
func (g *Gang) markStale() {
	if g.refusal != nil {
		g.refusal.stale = true
	}
}

// refuse records that the gang cannot be placed now; message is for users. to is the
// member in whose scheduling cycle this was found, "" for none.
func (g *Gang) refuse(message string, to types.UID, now time.Time) {
	g.refusal, g.retry.pending = &refusal{message: message, at: now, to: to}, false
	if g.retry.refusals == 0 {
		g.retry.since = now
	}
	g.retry.refusals++
}

// backoff returns the time until the gang may be planned again.
func (g *Gang) backoff(now time.Time) time.Duration {
	if g.refusal == nil {
		return 0
	}
	return max(0, g.retry.backoff()-now.Sub(g.refusal.at))
}

// retryLater marks the gang to be planned again. It returns the time after which the
// caller must call Tracker.Retry.
func (g *Gang) retryLater(now time.Time) time.Duration {
	g.retry.pending = true
	return max(1, g.backoff(now), g.retry.unseenUntil.Sub(now))
}

// retryLearned handles a refusal after too many failed plans. If these plans showed new
// combinations of members on nodes that filters refuse (lessons), the next plan differs, and
// the gang is planned again after its backoff. The same holds if the last plan, which began at
// the time began, may have missed an event. retryLearned returns the time after which the
// caller must call Tracker.Retry, otherwise 0.
func (g *Gang) retryLearned(began, now time.Time) time.Duration {
	if !g.retry.learned && !g.retry.mayMiss(began) {
		return 0
	}
	return g.retryLater(now)
}

// retryOutdated handles a new refusal that is based on old data: the members changed
// since the plan was requested (when their count of changes was changes), or the plan may
// have missed an event. It then returns the time after which the gang is planned again,
// otherwise 0.
func (g *Gang) retryOutdated(began time.Time, changes int, now time.Time) time.Duration {
	if changes != g.changes {
		g.markStale()
	} else if !g.retry.mayMiss(began) {
		return 0
	}
	return g.retryLater(now)
}

// anyWaits reports whether the condition holds for any member that waits for a node.
func (g *Gang) anyWaits(condition func(*v1.Pod) bool) bool {
	for _, m := range g.members {
		if g.waits(m.Pod) && condition(m.Pod) {
			return true
		}
	}
	return false
}

// retryNow drops the gang's refusal and returns one member to activate, in whose
// scheduling cycle the whole gang is planned again. It returns nil if no member can have
// a cycle.
func (g *Gang) retryNow(now time.Time) []*v1.Pod {
	pods := g.retryMember(now)
	if len(pods) > 0 {
		g.refusal = nil
		g.retry.restart()
	}
	return pods
}

// retryMember chooses the member in whose scheduling cycle the gang is planned again: the
// first by name that is ready and has no planned node. It returns nil if there is none.
func (g *Gang) retryMember(now time.Time) []*v1.Pod {
	for _, pod := range g.unplanned() {
		if g.members[pod.UID].Ready() {
			g.retry.member, g.retry.at = pod.UID, now
			return []*v1.Pod{pod}
		}
	}
	return nil
}

// retryOther chooses another member than before in whose scheduling cycle the gang is
// planned, if there is another.
func (g *Gang) retryOther(now time.Time) []*v1.Pod {
	pods := slices.DeleteFunc(g.unplanned(), func(pod *v1.Pod) bool { return !g.members[pod.UID].Ready() })
	if len(pods) == 0 {
		return nil
	}
	before := slices.IndexFunc(pods, func(pod *v1.Pod) bool { return pod.UID == g.retry.member })
	next := pods[(before+1)%len(pods)]
	g.retry.member, g.retry.at = next.UID, now
	return []*v1.Pod{next}
}

// waits reports whether the pod waits for a node from this scheduler.
func (g *Gang) waits(pod *v1.Pod) bool {
	return gangs.Live(pod) && !gangs.Placed(pod) && pod.Spec.SchedulerName == g.profile
}

// pending returns the members that wait for a node, by name.
func (g *Gang) pending() []*v1.Pod {
	var pods []*v1.Pod
	for _, m := range g.sorted() {
		if g.waits(m.Pod) {
			pods = append(pods, m.Pod)
		}
	}
	return pods
}

// unplanned returns the pending members without a node in the current attempt, the
// execution of a plan.
func (g *Gang) unplanned() []*v1.Pod {
	pods := g.pending()
	if g.attempt == nil {
		return pods
	}
	return slices.DeleteFunc(pods, func(pod *v1.Pod) bool { return g.attempt.has(pod.UID) })
}

// runners returns the members that are on nodes and have not ended, sorted by name. It leaves
// out pods that are no members of the gang as its objects declare it now (declared).
func (g *Gang) runners(declared gangs.Gang) []*v1.Pod {
	var pods []*v1.Pod
	for _, m := range g.sorted() {
		if runs(declared, m) {
			pods = append(pods, m.Pod)
		}
	}
	return pods
}

// sorted returns the members by name, then by UID. Names are unique in a namespace among
// the pods that exist at one time, but a pod may replace another of the same name.
func (g *Gang) sorted() []gangs.Member {
	return slices.SortedFunc(maps.Values(g.members), func(a, b gangs.Member) int {
		return cmp.Or(cmp.Compare(a.Pod.Name, b.Pod.Name), cmp.Compare(a.Pod.UID, b.Pod.UID))
	})
}

// precedes reports whether g is before another gang in the queue.
func (g *Gang) precedes(other *Gang) bool {
	if g.priority != other.priority {
		return g.priority > other.priority
	}
	if !g.order.Equal(other.order) {
		return g.order.Before(other.order)
	}
	return gangs.CompareKeys(g.key, other.key) < 0
}

// currentPhase derives the phase from the gang's state.
func (g *Gang) currentPhase() Phase {
	switch {
	case g.loss.evicting:
		return Evicting
	case g.attempt != nil:
		return g.attempt.phase
	case g.placed > 0 && g.ready == g.placed:
		return Placed
	case !g.quorumReady:
		return Incomplete
	case g.refusal != nil:
		return Refused
	}
	return Ready
}
