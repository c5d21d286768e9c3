// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// reasonMemberLeft is the reason of failure of an attempt (the execution of a plan) if a
// planned member was deleted during planning.
const reasonMemberLeft = "a member left while its place was planned"

// Step is the result of NextStep for a member's scheduling cycle. Exactly one of Node,
// Refusal and Plan is set.
type Step struct {
	// Node is the member's planned node. Alignment says how close the GPUs and NICs of the
	// gang must be. Rail is the index of the alignment unit on the node (devices close to
	// each other) to allocate from, -1 for any. Subrequests are the plan's choices among the
	// alternatives of the member's claims.
	Node        string
	Rail        int
	Subrequests gangs.Subrequests
	Alignment   gangs.Alignment
	// Refusal explains why the member gets no node now.
	Refusal string
	// Plan is the question to plan first. The caller passes the answer to Resolve.
	Plan *Question
	// First are the gangs to plan before Plan: they are below their minimum because bindings
	// failed. Afterwards the caller calls NextStep again.
	First []gangs.Key
	// Denied is true if this step refused the gang, false if it repeats a refusal.
	Denied  bool
	Effects Effects
}

// Question is a request to plan a gang.
type Question struct {
	gangs.Request
	// Began is the time at which the question was asked.
	Began time.Time
	// Lost is set if the gang runs without its quorum (the members that must run
	// together). If there is no room for the missing members, the planner also checks
	// whether the whole gang would fit elsewhere.
	Lost *Lost
	// Reserve is true if the planner must search for nodes to reserve for the gang if it
	// finds no room now.
	Reserve bool
	// Room is true if the planner must search for pods to evict if it finds no room now.
	Room bool
	// Ends has the times at which running pods are expected to end. If it has any,
	// Answer.Reserve must be the nodes on which the gang can start first.
	Ends gangs.Forecast
	// changes is the gang's count of member changes when the question was asked.
	changes int
}

// Answer is the result of planning.
type Answer struct {
	// Placed is true if Assignment has a node for each member of the quorum.
	Placed     bool
	Assignment gangs.Assignment
	// Surplus explains why members beyond the quorum got no node. It is "" if all have one.
	Surplus string
	// Refusal explains why the gang is not placed.
	Refusal string
	// HeldBack is true if the gang would be placed if no nodes were reserved for another
	// gang.
	HeldBack bool
	// Searched is true if the planner ran. Otherwise the request itself is invalid.
	Searched bool
	// Temporary is true if the planner did not run for a reason that passes with time.
	Temporary bool
	// Began is the time at which the plan in a PodGroup cycle (a scheduling cycle for a whole
	// PodGroup) began. It is zero without such a plan.
	Began time.Time
	// Room answers Question.Room.
	Room Room
	// FitsElsewhere answers Question.Lost: it is true if the whole gang would fit after
	// the eviction of its running members.
	FitsElsewhere bool
	// Nodes is the number of nodes of the cluster.
	Nodes int
	// Reserve has the nodes to keep free for the gang, if Question.Reserve asked for some.
	Reserve gangs.Reservation
}

// NextStep returns what a member does at the start of its scheduling cycle: take its
// planned node, be refused, or have the gang planned first.
func (t *Tracker) NextStep(key gangs.Key, uid types.UID, name string, now time.Time) Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard(key, uid)
	if step, ok := t.stepInAttempt(key, uid, name); ok {
		return step
	}
	g := t.gangs[key]
	if g != nil && g.refusal.answers(uid, now) {
		return Step{Refusal: g.refusal.message}
	}
	if pause := t.slowPause(g, now); pause > 0 {
		return g.postpone(pause, now)
	}
	step := t.ask(key, uid, now)
	if step.Plan != nil {
		step.First = t.unfinished(key, now)
	}
	return step
}

// postpone returns a step that repeats the refusal of a gang and retries the gang after a pause.
func (g *Gang) postpone(pause time.Duration, now time.Time) Step {
	g.retry.member = ""
	after := max(pause, g.retryLater(now))
	return Step{Refusal: g.refusal.message, Effects: Effects{Key: g.key, RetryAfter: after}}
}

// Ask returns a step with the question to plan for a gang, outside any member's cycle. It
// refuses a gang that cannot be planned.
func (t *Tracker) Ask(key gangs.Key, now time.Time) Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ask(key, "", now)
}

// stepInAttempt returns the step of a member of a gang with a current attempt. It returns
// false if the gang must be planned.
func (t *Tracker) stepInAttempt(key gangs.Key, uid types.UID, name string) (Step, bool) {
	attempt := t.attemptOf(key)
	if attempt == nil {
		return Step{}, false
	}
	node := attempt.plan.Nodes[uid]
	attempt.idle = 0
	switch {
	case attempt.phase == Releasing:
		return Step{Refusal: plannedAgain(key, attempt.reason)}, true
	case attempt.unknown[uid] != "":
		return Step{Refusal: perhapsBound(key, attempt.unknown[uid])}, true
	case attempt.phase == Reserving && node == "":
		return Step{Refusal: "gang " + key.String() + " is being placed; this member joins it afterwards"}, true
	case node != "" && attempt.tooEarly(uid):
		return Step{Refusal: notYet(key)}, true
	case attempt.phase == Reserving:
		attempt.cycles[uid]++
		if attempt.cycles[uid] > maxCycles {
			step := Step{Refusal: plannedAgain(key, "cycles of this member end in errors"), Effects: Effects{Key: key}}
			step.Effects.Release = attempt.fail("cycles of member " + name + " end in errors")
			t.observe(t.gangs[key])
			return step, true
		}
	case node == "":
		return Step{}, false
	}
	return stepTo(attempt, uid, node), true
}

func plannedAgain(key gangs.Key, reason string) string {
	return "gang " + key.String() + " is planned again: " + reason
}

// stepTo returns the step that sends a member to its planned node.
func stepTo(attempt *Attempt, uid types.UID, node string) Step {
	step := Step{Node: node, Rail: -1, Subrequests: attempt.plan.Subrequests[uid], Alignment: attempt.plan.Alignment}
	if rail, ok := attempt.plan.Rails[uid]; ok {
		step.Rail = rail
	}
	return step
}

// ask returns a step with the question to plan for the gang. It refuses a gang that cannot
// be planned.
func (t *Tracker) ask(key gangs.Key, uid types.UID, now time.Time) Step {
	g := t.gangs[key]
	if g == nil {
		return Step{Refusal: "gang " + key.String() + " has no members any more", Denied: true}
	}
	request, refusal := t.request(g, now)
	if refusal != "" {
		return t.refuseInCycle(g, refusal, uid, now, Effects{Key: key})
	}
	t.observe(g)
	question := &Question{Request: request, Began: now, changes: g.changes}
	t.askWhatIf(g, question, now)
	return Step{Plan: question}
}

// request returns the request to plan for a gang, or a sentence that explains why the gang
// cannot be planned.
func (t *Tracker) request(g *Gang, now time.Time) (gangs.Request, string) {
	declared, readiness, err := g.read()
	if err != nil {
		return gangs.Request{}, err.Error()
	}
	if !g.schedulable(readiness) {
		return gangs.Request{}, cmp.Or(readiness.Problem, g.evictingSentence(), readiness.Waiting)
	}
	if refusal := t.evictedFor(g.key); refusal != "" {
		return gangs.Request{}, refusal
	}
	g.quorumReady = true
	request := gangs.Request{
		Gang: declared, Placed: map[types.UID]string{}, Done: map[string]int{}, Holds: t.holds(g.key, g.priority),
	}
	g.retry.teach(&request, now)
	if g.attempt != nil {
		request.Holds = append(request.Holds, g.attempt.perhaps()...)
	}
	for _, m := range g.sorted() {
		node := m.Pod.Spec.NodeName
		if node == "" && g.attempt != nil {
			node = cmp.Or(g.attempt.reserved[m.Pod.UID], g.attempt.unknown[m.Pod.UID])
		}
		switch {
		case !declared.Has(m) || !gangs.Live(m.Pod):
			continue
		case isDone(m.Pod):
			request.Done[m.Role]++
			continue
		case node != "":
			request.Placed[m.Pod.UID] = node
		case gangs.Placed(m.Pod) || !m.Ready():
			continue
		}
		request.Members = append(request.Members, m)
	}
	isPlaced := func(m gangs.Member) bool { return request.Placed[m.Pod.UID] != "" }
	var wait string
	request.Gang, request.Members, wait = gangs.NextBatch(declared, request.Members, isPlaced)
	t.restrict(g, &request, now)
	return request, wait
}

// askWhatIf adds to a question what to search for if there is no room: other nodes for
// the whole gang, or nodes to reserve for it.
func (t *Tracker) askWhatIf(g *Gang, question *Question, now time.Time) {
	if question.Lost = t.lost(g, now); question.Lost == nil {
		question.Room = t.wantsRoom(g, now)
		question.Reserve = t.wantsReservation(g, now)
	}
	if question.Reserve && t.options.Backfill {
		question.Ends = t.forecast(now)
	}
}

// refuseInCycle records that the gang cannot be placed, found in the cycle of member uid
// ("" for none). It returns the step with the refusal.
func (t *Tracker) refuseInCycle(g *Gang, message string, uid types.UID, now time.Time, effects Effects) Step {
	g.refuse(message, uid, now)
	g.retry.member = ""
	effects.Report = true
	t.observe(g)
	return Step{Refusal: message, Denied: true, Effects: effects}
}

// Resolve applies the planner's answer to a question. uid is the member in whose
// scheduling cycle the gang was planned, "" for none. Resolve returns the step for that
// cycle.
func (t *Tracker) Resolve(question *Question, answer *Answer, uid types.UID, now time.Time) Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := question.Gang.Key
	g := t.gangs[key]
	if g != nil {
		t.notePlan(g, question.Began, now)
	}
	if !answer.Placed {
		if g == nil {
			return Step{Refusal: answer.Refusal, Denied: true}
		}
		effects := Effects{Key: key}
		addition := t.resolveWhatIf(g, question, answer, now, &effects)
		refusal := answer.Refusal + addition
		if sentence, clears := t.makeRoom(g, question.Room, &answer.Room, now, &effects); clears {
			refusal = key.Messagef("%s", sentence)
		} else if sentence != "" {
			refusal += "; " + sentence
		}
		step := t.refuseInCycle(g, refusal, uid, now, effects)
		g.refusal.heldBack, g.refusal.temporary = answer.HeldBack, answer.Temporary
		step.Effects.RetryAfter = g.retryOutdated(question.Began, question.changes, now)
		if answer.Temporary {
			step.Effects.RetryAfter = g.retryLater(now)
		}
		return step
	}
	if g == nil { // the last member was deleted during planning
		return Step{Refusal: "gang " + key.String() + " is placed; this member is not ready to join it"}
	}
	attempt := newAttempt(question.Gang, answer.Assignment, question.Began)
	effects := Effects{Key: key}
	t.noteBackfill(g, &question.Request, &answer.Assignment)
	if !t.begin(g, attempt, now) {
		effects.Release = attempt.fail(reasonMemberLeft)
		t.observe(g)
		return Step{Refusal: plannedAgain(key, reasonMemberLeft), Effects: effects}
	}
	effects.Activate = g.planned(attempt)
	t.settle(g)
	if answer.Surplus != "" {
		g.refuse(answer.Surplus, uid, now)
		g.retry.member = ""
		effects.RetryAfter = g.retryOutdated(question.Began, question.changes, now)
		t.observe(g)
	}
	step := Step{Refusal: cmp.Or(answer.Surplus, "gang "+key.String()+" is placed; this member is not ready to join it")}
	switch node := attempt.plan.Nodes[uid]; {
	case node != "" && attempt.tooEarly(uid):
		step.Refusal = notYet(key)
	case node != "":
		step = stepTo(attempt, uid, node)
	}
	step.Effects = effects
	return step
}
