// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"math"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// evaluate reports whether members of the gang may be scheduled, and records it in
// quorumReady. It examines the members only if enough of them are ready, so the arrival of
// n pods costs n steps, not n².
func (g *Gang) evaluate() bool {
	if g.minKnown && g.ready < g.min {
		return false
	}
	_, readiness, err := g.read()
	g.quorumReady = err == nil && g.schedulable(readiness)
	return g.quorumReady
}

// schedulable reports whether members may be scheduled: the quorum (the members that must
// start together) is ready, or some members run and further members may join them.
func (g *Gang) schedulable(readiness gangs.Readiness) bool {
	return readiness.Problem == "" && !g.loss.evicting && (readiness.Waiting == "" || g.running > 0)
}

// read reads the gang's declaration, such as a JobSet, compares it with the members, and
// updates min, running, loss and partial. It returns an error if the declaration cannot be
// read.
func (g *Gang) read() (gangs.Gang, gangs.Readiness, error) {
	if g.podGroup != nil {
		declared, readiness := g.readPodGroup()
		return declared, readiness, nil
	}
	members := g.sorted()
	declared, err := g.sources.Gang(g.key, members)
	if err != nil {
		g.min, g.minKnown = math.MaxInt, true // members wait until the declaration changes
		return gangs.Gang{}, gangs.Readiness{}, err
	}
	readiness := gangs.Check(declared, members)
	g.running = len(g.runners(declared))
	g.settleLosses(readiness.Placed >= declared.Min)
	g.min, g.minKnown = declared.Min, g.running == 0
	return declared, readiness, nil
}

// settleLosses ends the records that the gang lost members (loss) or that bindings failed
// (partial) once its quorum runs, or once no member runs or binds any more.
func (g *Gang) settleLosses(quorum bool) {
	g.loss.settle(quorum, g.running)
	g.partial.settle(quorum || g.running == 0 && g.attempt == nil)
}

// readPodGroup compares the recorded members with the gang as its last PodGroup cycle (in
// which the scheduler itself places all pods of a PodGroup) read it. Members being deleted
// count as running until they are gone. Otherwise a new cycle could begin too early: it would
// count them for the quorum, as scheduled pods, and the quorum would break when they end.
func (g *Gang) readPodGroup() (gangs.Gang, gangs.Readiness) {
	declared, members := g.podGroup.gang, g.sorted()
	g.running = 0
	for _, m := range members {
		if gangs.Placed(m.Pod) && !isDone(m.Pod) {
			g.running++
		}
	}
	g.settleLosses(declared.Quorate(members, isPlaced))
	readiness := gangs.Readiness{}
	if !declared.Quorate(members, counts) {
		readiness.Waiting = "waiting for members of " + g.key.String()
	}
	return declared, readiness
}

// noteLoss records the loss of a placed member. It reports whether the gang was already
// being evicted.
func (g *Gang) noteLoss(lost *v1.Pod, now time.Time) (wasEvicting bool) {
	wasEvicting = g.loss.evicting
	if !gangs.Placed(lost) || isDone(lost) {
		return wasEvicting
	}
	declared, readiness, err := g.read()
	if err == nil && g.running > 0 && readiness.Placed < declared.Min && g.loss.since.IsZero() {
		g.loss.since = now
	}
	return wasEvicting
}

// noteGain ends the gang's loss of members if a newly placed member restores the quorum.
func (g *Gang) noteGain(old, pod *v1.Pod) {
	if (!g.loss.since.IsZero() || g.partial.unfinished()) && gangs.Placed(pod) && (old == nil || !gangs.Placed(old)) {
		g.evaluate()
	}
}

// afterEviction returns the members to activate once all evicted members are gone, so
// that the whole gang is placed again. Before that it returns nil.
func (g *Gang) afterEviction() []*v1.Pod {
	if g.loss.evicting || g.ready == g.placed || !g.evaluate() {
		return nil
	}
	return g.pending()
}

// tooFewExist reports whether too few members exist for a quorum.
func (g *Gang) tooFewExist(declared gangs.Gang, readiness gangs.Readiness) bool {
	if g.podGroup != nil {
		return readiness.Waiting != ""
	}
	return readiness.Exist < declared.Min
}

// changed returns the members to activate after a change of a member. old has no pod for a
// new member.
func (g *Gang) changed(old gangs.Member, pod *v1.Pod, now time.Time) []*v1.Pod {
	was, is := counts(old), counts(g.members[pod.UID])
	switch {
	case was && !is:
		return g.left(old.Pod, now)
	case g.activationDue:
		g.activationDue = false
		return g.pending()
	case g.quorumReady && old.Pod != nil && !was && is:
		return []*v1.Pod{pod} // the pod can join now, and no event would activate it
	case g.quorumReady || g.ready == g.placed || !g.evaluate():
		return nil
	}
	return g.pending()
}

// retryChanged returns the time after which a refused gang is planned again because a
// waiting member changed, 0 for never. The queue may begin a cycle of that member before
// the tracker knows of the change; that cycle only repeats the refusal.
func (g *Gang) retryChanged(old gangs.Member, pod *v1.Pod, now time.Time) time.Duration {
	if old.Pod == nil || g.refusal == nil || g.retry.pending || !g.waits(old.Pod) || !g.waits(pod) || counts(old) != counts(g.members[pod.UID]) {
		return 0
	}
	g.markStale()
	return g.retryLater(now)
}

// left handles a member that no longer counts for its gang's quorum. If the gang was
// refused, or was to be planned in a cycle of that member, left returns another member to
// activate, in whose cycle the gang is planned.
func (g *Gang) left(gone *v1.Pod, now time.Time) []*v1.Pod {
	asks := g.retry.member == gone.UID || g.refusal != nil && !g.refusal.stale
	if g.quorumReady {
		g.quorumReady, g.progress = false, 0
	}
	g.markStale()
	if g.noteLoss(gone, now) {
		return g.afterEviction()
	}
	if !asks || g.ready == g.placed || !g.evaluate() {
		return nil
	}
	return g.retryMember(now)
}

// disturbedBy updates the gang's current attempt (the execution of a plan) after a member
// was bound, changed or deleted (gone). It returns the attempt if it can no longer
// succeed, otherwise nil.
func (g *Gang) disturbedBy(old gangs.Member, pod *v1.Pod, gone bool) *Attempt {
	attempt, placed, deleted := g.attempt, gangs.Placed(pod), gone
	gone = gone || !counts(g.members[pod.UID])
	if attempt == nil || !gone && !placed {
		return nil
	}
	counted := attempt.mayHold(pod.UID) || counts(old) && gangs.Placed(old.Pod)
	attempt.forget(pod.UID, placed, deleted)
	ended := old.Pod != nil && isDone(pod) && !isDone(old.Pod) // perhaps nothing of the gang runs any more
	if attempt.phase == Reserving && (gone && counted || ended || attempt.plan.Nodes[pod.UID] != "") {
		attempt.outdated = true // the plan assumed another quorum
		return attempt
	}
	delete(attempt.plan.Nodes, pod.UID)
	return nil
}
