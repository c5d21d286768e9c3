// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"cmp"
	"maps"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// The scheduler's own PodGroup cycle places all pods of a PodGroup or none. The tracker
// has such a gang only while there is no room for it, because retries, evictions
// of its members and nodes reserved for it need state between cycles. A refusal records
// the members that the cycle read, pod events update them, and a placement deletes the
// gang.

// podGroupLife is how long the tracker keeps what it learned from failed plans of a gang
// that the PodGroup cycle places. No event reports that such a gang was deleted before
// its next cycle.
const podGroupLife = 10 * time.Minute

// newPodGroupGang returns a Gang for a gang that the PodGroup cycle places. It does not
// add the Gang to the tracker.
func (t *Tracker) newPodGroupGang(request *gangs.Request) *Gang {
	g := &Gang{
		key: request.Gang.Key, sources: t.options.Sources, profile: t.options.Profile, lacks: t.options.Lacks, order: request.Gang.Created, orderFixed: true,
		members: map[types.UID]gangs.Member{}, podGroup: &podGroupState{gang: request.Gang}, running: len(request.Placed),
	}
	if len(request.Members) > 0 {
		g.priority = corev1helpers.PodPriority(request.Members[0].Pod)
	}
	return g
}

// podGroupGang returns the tracked Gang for a request of a PodGroup cycle. It adds an
// unknown gang to the tracker.
func (t *Tracker) podGroupGang(request *gangs.Request) *Gang {
	g := t.gangs[request.Gang.Key]
	if g == nil {
		g = t.newPodGroupGang(request)
		t.gangs[g.key] = g
	}
	return g
}

// BeginPodGroupCycle adds to the request of a PodGroup cycle what its plan must not use:
// capacity held or reserved for other gangs, and nodes that filters refused. It returns a
// message if the gang must be refused without a plan, otherwise "".
func (t *Tracker) BeginPodGroupCycle(request *gangs.Request, now time.Time) (refusal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if refusal = t.evictedFor(request.Gang.Key); refusal != "" {
		return refusal
	}
	known := cmp.Or(t.gangs[request.Gang.Key], t.newPodGroupGang(request))
	request.Holds = t.holds(request.Gang.Key, known.priority)
	t.restrict(known, request, now)
	g := t.gangs[request.Gang.Key]
	if g == nil {
		return ""
	}
	request.Holds = append(request.Holds, g.heldForOthers(request)...)
	g.retry.teach(request, now)
	g.podGroup.awaitsCycle = false
	refusal = cmp.Or(request.Gang.Problem, g.evictingSentence(), g.podGroup.lastRefusal)
	if g.podGroup.lastRefusal != "" && refusal == g.podGroup.lastRefusal {
		g.retry.restart()
		g.podGroup.lastRefusal = ""
		t.settlePodGroup(g)
	}
	return refusal
}

// forgetPlans drops what the tracker learned from failed plans of a gang that the
// PodGroup cycle places: the refusals of planned nodes, how many members a node takes,
// and the message that its next cycle was to repeat.
func (t *Tracker) forgetPlans(g *Gang) {
	g.retry.forgetPlans()
	g.podGroup.awaitsCycle, g.podGroup.lastRefusal = false, ""
	g.retry.slow = 0
	t.settlePodGroup(g)
}

// AwaitsCycle reports whether a filter refused a planned node of the gang and no PodGroup
// cycle of the gang has begun since.
func (t *Tracker) AwaitsCycle(key gangs.Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	return g != nil && g.podGroup != nil && g.podGroup.awaitsCycle
}

// RefusedMember is a member in a PodGroup cycle whose planned node a filter refused.
type RefusedMember struct {
	Role gangs.RoleSignature
	Node string
	// Held is how many members of the same role and signature (equal requests) had
	// already reserved the node. Others are the other members that had reserved nodes.
	Held   int
	Others []gangs.ConflictTerm
	// Sentence describes the refusal.
	Sentence string
}

// PodGroupFilterRefused records that a filter refused a planned node of a gang. It reports
// whether the gang may be planned again. If not, its next cycle only repeats the refusal.
func (t *Tracker) PodGroupFilterRefused(request *gangs.Request, member RefusedMember, now time.Time) (again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.podGroups {
		if !g.podGroup.learnedAt.IsZero() && now.Sub(g.podGroup.learnedAt) > podGroupLife {
			t.forgetPlans(g)
		}
	}
	g := t.podGroupGang(request)
	t.putMembers(g, request.Members)
	_, readiness := g.readPodGroup()
	g.quorumReady = readiness.Waiting == ""
	g.podGroup.awaitsCycle, g.podGroup.learnedAt = true, now
	g.retry.slow = 0 // the plan found a placement, and the gang is planned again at once
	g.retry.learn(lesson{role: member.Role, node: member.Node, held: member.Held, others: member.Others, at: now})
	if g.retry.replans++; g.retry.replans > t.options.MaxReplans {
		g.retry.restart()
		g.podGroup.lastRefusal = member.Sentence
		t.settlePodGroup(g)
		return false
	}
	t.settlePodGroup(g)
	return true
}

// RefusePodGroup records that a PodGroup cycle found no room for a gang. It returns the
// question what to search for next: other nodes for the whole gang, nodes to reserve for
// it, or nothing. ResolvePodGroup takes the answer. done are the members that have
// succeeded: the cycle does not show them.
func (t *Tracker) RefusePodGroup(request gangs.Request, done []gangs.Member, answer *Answer, now time.Time) *Question {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.podGroupGang(&request)
	t.dropHoldOfRefused(g, now)
	g.podGroup.gang, g.podGroup.awaitsCycle = request.Gang, false
	for uid := range g.members {
		g.drop(uid)
	}
	t.putMembers(g, request.Members)
	t.putMembers(g, done)
	declared, readiness := g.readPodGroup()
	g.quorumReady = readiness.Waiting == ""
	g.refusal = &refusal{message: answer.Refusal, at: now, heldBack: answer.HeldBack}
	if g.retry.since.IsZero() {
		g.retry.since = now
	}
	if answer.Searched {
		g.retry.restart()
	}
	if g.running > 0 && !declared.Quorate(g.sorted(), isPlaced) && g.loss.since.IsZero() {
		g.loss.since = now
	}
	question := &Question{Request: request, Began: now}
	if answer.Searched && !answer.HeldBack {
		t.askWhatIf(g, question, now)
	}
	t.observe(g)
	return question
}

// ResolvePodGroup applies the answer to a question of RefusePodGroup. addition is the
// text to append to the gang's message. evicting replaces the message if the remaining
// members, or pods of lower priority, are being evicted; otherwise it is "".
func (t *Tracker) ResolvePodGroup(question *Question, answer *Answer, now time.Time) (addition, evicting string, effects Effects) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[question.Gang.Key]
	if g == nil || g.podGroup == nil {
		return "", "", Effects{}
	}
	if !answer.Began.IsZero() {
		t.notePlan(g, answer.Began, now)
	}
	effects.Key = g.key
	addition = t.resolveWhatIf(g, question, answer, now, &effects)
	evicting = g.evictingSentence()
	if sentence, clears := t.makeRoom(g, question.Room, &answer.Room, now, &effects); clears && evicting == "" {
		evicting = g.key.Messagef("%s", sentence)
		g.refusal.message = evicting
	} else if sentence != "" {
		addition += "; " + sentence
	}
	t.settlePodGroup(g)
	return addition, evicting, effects
}

// PodGroupPlaced records that a PodGroup cycle found nodes for a gang, whose members now
// bind. The gang has bypassed gangs that wait before it in the queue.
func (t *Tracker) PodGroupPlaced(request *gangs.Request, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[request.Gang.Key]
	t.noteBypass(t.newPodGroupGang(request), now)
	if g == nil {
		return
	}
	t.endHoldsOf(g, request)
	t.noteStart(g, now)
	g.clearing.finish()
	g.retry.since = time.Time{}
	g.reservation, g.refusal = Reservation{}, nil
	t.forgetPlans(g)
}

// NotePodGroupBackfill handles the placement, by a PodGroup cycle, of a gang on nodes that are
// reserved for another gang.
func (t *Tracker) NotePodGroupBackfill(request *gangs.Request, plan *gangs.Assignment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noteBackfill(t.newPodGroupGang(request), request, plan)
}

// HoldForRest holds the planned nodes of the unbound members of a partly bound gang, so
// that other gangs cannot take them before the gang's next PodGroup cycle.
func (t *Tracker) HoldForRest(request *gangs.Request, plan gangs.Assignment, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.podGroupGang(request)
	g.attempt, g.podGroup.heldSince = newAttempt(request.Gang, plan, now), now
	t.observe(g)
}

// podGroupHoldLife is how long nodes are held for the unbound members of a partly bound
// gang if no PodGroup cycle of the gang begins. A cycle begins at once unless the gang
// has lost members meanwhile.
const podGroupHoldLife = 30 * time.Second

// dropHold releases the nodes held for the unbound members of a gang. used is false if
// the gang did not take them.
func (t *Tracker) dropHold(g *Gang, used bool) {
	if g.attempt == nil {
		return
	}
	g.attempt = nil
	t.heldInVain = t.heldInVain || !used
}

// dropExpiredHolds releases the nodes held for gangs whose PodGroup cycle did not begin
// in time. It reports whether any nodes were held and not used since the last call: other
// gangs may have been refused because of them.
func (t *Tracker) dropExpiredHolds(now time.Time) bool {
	for _, g := range t.gangs {
		if g.podGroup != nil && g.attempt != nil && now.Sub(g.podGroup.heldSince) > podGroupHoldLife {
			t.dropHold(g, false)
			t.settlePodGroup(g)
		}
	}
	inVain := t.heldInVain
	t.heldInVain = false
	return inVain
}

// putMembers records the members that a PodGroup cycle read. It omits pods that were deleted
// since: no event would remove them.
func (t *Tracker) putMembers(g *Gang, members []gangs.Member) {
	for _, m := range members {
		if !t.options.Exists(m.Pod) {
			continue
		}
		t.podGroups[gangs.PodGroupKeyOf(m.Pod)] = g
		m.Key = g.key
		g.put(m)
	}
}

// settlePodGroup removes a gang of PodGroup cycles from the tracker if it has no state
// that its next cycle needs.
func (t *Tracker) settlePodGroup(g *Gang) {
	remembers := g.clearing.remembers() || g.reservation.blocked || g.reservation.displaced || !g.loss.since.IsZero() ||
		g.retry.replans > 0 || len(g.retry.lessons) > 0 || g.podGroup.lastRefusal != "" || g.partial.unfinished() || g.retry.slow > 0
	t.observe(g)
	if g.attempt != nil || len(g.members) > 0 && remembers {
		return
	}
	t.giveRoom(g)
	delete(t.gangs, g.key)
	maps.DeleteFunc(t.podGroups, func(_ gangs.Key, other *Gang) bool { return other == g })
}

// upsertInPodGroup records a changed member of a tracked gang that the PodGroup cycle
// places. It ignores a new member: that leads to a new cycle, which records it.
func (t *Tracker) upsertInPodGroup(pod *v1.Pod) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.podGroups[gangs.PodGroupKeyOf(pod)]
	if g == nil {
		return Effects{}
	}
	m, ok := g.members[pod.UID]
	if !ok || isDone(m.Pod) && !isDone(pod) {
		return Effects{}
	}
	if !gangs.Placed(pod) && !SameForGang(m.Pod, pod) {
		g.retry.forgetLessons("") // they may be about this member as it was before
	}
	m.Pod = pod
	g.put(m)
	if gangs.Placed(pod) {
		t.endHoldOf(g, pod.UID, true)
	}
	return t.podGroupChanged(g)
}

// forgetInPodGroup removes a member of a tracked gang that the PodGroup cycle places, if
// may returns true for the last recorded state of the pod.
func (t *Tracker) forgetInPodGroup(pod *v1.Pod, may func(known *v1.Pod) bool) Effects {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.podGroups[gangs.PodGroupKeyOf(pod)]
	if g == nil {
		return Effects{}
	}
	if m, ok := g.members[pod.UID]; !ok || !may(m.Pod) {
		return Effects{}
	}
	g.drop(pod.UID)
	g.retry.forgetLessons("") // they may be about this member
	t.endHoldOf(g, pod.UID, false)
	return t.podGroupChanged(g)
}

// podGroupChanged evaluates a gang of PodGroup cycles after a member changed. It
// activates the waiting members once the last evicted member is gone.
func (t *Tracker) podGroupChanged(g *Gang) Effects {
	wasEvicting := g.loss.evicting
	_, readiness := g.readPodGroup()
	g.quorumReady = readiness.Waiting == "" && !g.loss.evicting
	effects := Effects{Key: g.key}
	if wasEvicting && !g.loss.evicting {
		effects.Activate = g.pending()
	}
	if len(g.pending()) == 0 {
		g.retry.slow = 0 // nobody waits for a plan; the next one is judged anew
	}
	t.settlePodGroup(g)
	return effects
}
