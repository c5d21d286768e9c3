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

// If the scheduler's PodGroup cycle places a gang, the tracker has the gang only while
// there is no room for it: the cycle reads its members and places all of them or none.
// Retries, healAfter and maxBypass need state between cycles. A refusal records the data
// that the cycle read. Pod events update it. A placement deletes it.

// podGroupLife is how long failed plans of a gang are kept. There is no event for a gang
// that was deleted before its next cycle.
const podGroupLife = 10 * time.Minute

// newPodGroupGang returns a Gang with the queue order of a gang of a PodGroup cycle.
func (t *Tracker) newPodGroupGang(request *gangs.Request) *Gang {
	g := &Gang{
		key: request.Gang.Key, sources: t.options.Sources, profile: t.options.Profile, order: request.Gang.Created, orderFixed: true,
		members: map[types.UID]gangs.Member{}, podGroup: &podGroupState{gang: request.Gang}, running: len(request.Placed),
	}
	if len(request.Members) > 0 {
		g.priority = corev1helpers.PodPriority(request.Members[0].Pod)
	}
	return g
}

// podGroupGang returns the tracked gang of a request. It adds a new gang.
func (t *Tracker) podGroupGang(request *gangs.Request) *Gang {
	g := t.gangs[request.Gang.Key]
	if g == nil {
		g = t.newPodGroupGang(request)
		t.gangs[g.key] = g
	}
	return g
}

// BeginPodGroupCycle adds all limits on the gang's nodes to the request of a PodGroup
// cycle. If the gang is refused without a plan, it returns the refusal.
func (t *Tracker) BeginPodGroupCycle(request *gangs.Request) (refusal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	request.Holds = t.holds(request.Gang.Key)
	request.Reserved, request.Holder = t.reservedAgainst(cmp.Or(t.gangs[request.Gang.Key], t.newPodGroupGang(request)))
	g := t.gangs[request.Gang.Key]
	if g == nil {
		return ""
	}
	request.Limits, g.podGroup.awaitsCycle = g.retry.limits, false
	refusal = cmp.Or(request.Gang.Problem, g.evictingSentence(), g.podGroup.lastRefusal)
	if g.podGroup.lastRefusal != "" && refusal == g.podGroup.lastRefusal {
		t.forgetPlans(g)
	}
	return refusal
}

// forgetPlans forgets the failed plans of a gang of a PodGroup cycle.
func (t *Tracker) forgetPlans(g *Gang) {
	g.retry.forgetPlans()
	g.podGroup.awaitsCycle, g.podGroup.lastRefusal = false, ""
	t.settlePodGroup(g)
}

// AwaitsCycle reports whether no cycle of the gang has come since a filter refused a node.
func (t *Tracker) AwaitsCycle(key gangs.Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[key]
	return g != nil && g.podGroup != nil && g.podGroup.awaitsCycle
}

// RefusedMember is a member of a PodGroup cycle with a planned node that a filter refused.
type RefusedMember struct {
	Role gangs.RoleSignature
	Node string
	// Held is how many members with its role and signature had reserved the node before.
	Held int
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
	if g.retry.replans++; g.retry.replans > t.options.MaxReplans {
		g.retry.forgetPlans()
		g.podGroup.lastRefusal = member.Sentence
		t.observe(g)
		return false
	}
	g.retry.limit(member.Role, member.Node, member.Held)
	t.observe(g)
	return true
}

// RefusePodGroup records that a PodGroup cycle found no room for a gang. It returns a
// question with the alternatives to search for. done are members that have succeeded; the
// cycle does not have them.
func (t *Tracker) RefusePodGroup(request gangs.Request, done []gangs.Member, answer *Answer, now time.Time) *Question {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.podGroupGang(&request)
	t.dropHold(g, false)
	g.podGroup.gang, g.podGroup.awaitsCycle = request.Gang, false
	g.members, g.ready, g.placed = map[types.UID]gangs.Member{}, 0, 0
	t.putMembers(g, request.Members)
	t.putMembers(g, done)
	declared, readiness := g.readPodGroup()
	g.quorumReady = readiness.Waiting == ""
	g.refusal = &refusal{message: answer.Refusal, at: now}
	if answer.Searched {
		g.retry.forgetPlans()
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

// ResolvePodGroup applies the answer for a refused gang. addition is the text to append to
// the gang's sentence. evicting replaces the sentence if the remaining members are evicted.
func (t *Tracker) ResolvePodGroup(question *Question, answer *Answer, now time.Time) (addition, evicting string, effects Effects) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[question.Gang.Key]
	if g == nil || g.podGroup == nil {
		return "", "", Effects{}
	}
	effects.Key = g.key
	addition = t.resolveWhatIf(g, question, answer, now, &effects)
	t.settlePodGroup(g)
	return addition, g.evictingSentence(), effects
}

// PodGroupPlaced records that a PodGroup cycle placed a gang. Its members bind.
func (t *Tracker) PodGroupPlaced(request *gangs.Request, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gangs[request.Gang.Key]
	t.noteBypass(t.newPodGroupGang(request), now)
	if g == nil {
		return
	}
	t.dropHold(g, true)
	g.reservation, g.refusal = Reservation{}, nil
	g.retry.forgetPlans()
	g.podGroup.awaitsCycle, g.podGroup.lastRefusal = false, ""
	t.settlePodGroup(g)
}

// HoldForRest holds the planned room for the members that wait until their cycle.
func (t *Tracker) HoldForRest(request *gangs.Request, plan gangs.Assignment, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.podGroupGang(request)
	g.attempt, g.podGroup.heldSince = newAttempt(request.Gang, plan, now), now
	t.observe(g)
}

// podGroupHoldLife is how long room is held for the rest of a gang without a PodGroup
// cycle. The cycle comes at once unless the gang has lost members meanwhile.
const podGroupHoldLife = 30 * time.Second

// dropHold releases the room held for the rest of a gang.
func (t *Tracker) dropHold(g *Gang, used bool) {
	if g.attempt == nil {
		return
	}
	g.attempt = nil
	t.heldInVain = t.heldInVain || !used
}

// dropExpiredHolds releases the room of gangs whose cycle did not come. It reports, once,
// whether room was held in vain.
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

// putMembers adds members of a PodGroup cycle.
func (t *Tracker) putMembers(g *Gang, members []gangs.Member) {
	for _, m := range members {
		t.podGroups[gangs.PodGroupKeyOf(m.Pod)] = g
		m.Key = g.key
		g.put(m)
	}
}

// settlePodGroup forgets a gang without state to keep.
func (t *Tracker) settlePodGroup(g *Gang) {
	remembers := g.reservation.blocked || g.reservation.displaced || !g.loss.since.IsZero() ||
		g.retry.replans > 0 || g.podGroup.lastRefusal != ""
	t.observe(g)
	if g.attempt != nil || len(g.members) > 0 && remembers {
		return
	}
	delete(t.gangs, g.key)
	maps.DeleteFunc(t.podGroups, func(_ gangs.Key, other *Gang) bool { return other == g })
}

// upsertInPodGroup records a changed member of a refused gang. A new member leads to a new
// cycle. That cycle records it.
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
	m.Pod = pod
	g.put(m)
	return t.podGroupChanged(g)
}

// forgetInPodGroup forgets a member of a refused gang.
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
	return t.podGroupChanged(g)
}

// podGroupChanged activates a gang after the last evicted member is gone.
func (t *Tracker) podGroupChanged(g *Gang) Effects {
	wasEvicting := g.loss.evicting
	_, readiness := g.readPodGroup()
	g.quorumReady = readiness.Waiting == "" && !g.loss.evicting
	effects := Effects{Key: g.key}
	if wasEvicting && !g.loss.evicting {
		effects.Activate = g.pending()
	}
	t.settlePodGroup(g)
	return effects
}
