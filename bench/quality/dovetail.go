// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// maxBypass is how long later gangs may bypass a gang without room: the default of the argument
// of that name of the plugin Gang.
const maxBypass = time.Hour

// dovetail is the contender that schedules as Dovetail does. pkg/gangstate decides when a
// gang is planned, which reserved nodes it must avoid and when nodes are reserved for it.
// Every job is a gang, including a job of one pod.
type dovetail struct {
	planner *planner
	// empty plans on a cluster with the same nodes and no pods. It is nil if the contender
	// never reserves nodes.
	empty   *planner
	members members
}

// policy has the arguments of the plugin Gang that decide about reserved nodes.
type policy struct {
	// maxBypass is how long later gangs may bypass a gang without room before nodes are
	// reserved for it. 0 means that nodes are never reserved.
	maxBypass time.Duration
	// backfill lets later gangs use reserved nodes if that does not delay the gang.
	backfill bool
}

// newDovetail returns the contender.
func newDovetail(c *simulatedCluster, of policy) (*dovetail, error) {
	p, err := newPlanner(c)
	if err != nil {
		return nil, err
	}
	d := &dovetail{planner: p, members: newMembers(of)}
	if of.maxBypass > 0 {
		d.empty, err = newPlanner(newSimulatedCluster(c.spec))
	}
	return d, err
}

// pass plans the waiting gangs in the order of their arrival. It skips a gang if a gang of its
// kind (the same number and requests of pods) has found no room, unless the gang is new or the
// tracker of the gangs' states (pkg/gangstate) requests a retry.
func (d *dovetail) pass(s *sim) error {
	now := epoch.Add(s.now)
	d.members.eraseEnded(now)
	retry := d.members.tick(now)
	for _, e := range s.waiting() {
		if isNew := d.members.add(e, now); !isNew && !retry[keyOf(e)] && s.refusedKinds[e.kind()] {
			continue
		}
		if err := d.schedule(s, e, now); err != nil {
			return err
		}
	}
	return nil
}

// schedule plans a gang and binds its pods if there is room.
func (d *dovetail) schedule(s *sim, e *entry, now time.Time) error {
	tracker := d.members.tracker
	step := tracker.Ask(keyOf(e), now)
	if step.Plan == nil {
		return fmt.Errorf("job %d cannot be planned: %s", e.id, step.Refusal)
	}
	question := step.Plan
	answer, err := d.answer(s, e, question)
	if err != nil {
		return err
	}
	step = tracker.Resolve(question, &answer, e.pods[0].object.UID, now)
	if !answer.Placed {
		return nil
	}
	choices, err := d.permit(e, step, now)
	if err != nil {
		return err
	}
	if err := s.start(e, choices); err != nil {
		return err
	}
	d.members.bound(e, now)
	return nil
}

// answer plans a gang, unless one of its kind was refused since devices were last released. If
// the plan uses a node that is reserved for another gang, it plans again without the reserved
// nodes.
func (d *dovetail) answer(s *sim, e *entry, question *gangstate.Question) (gangstate.Answer, error) {
	if s.refusedKinds[e.kind()] {
		return d.refusal(s, e, question)
	}
	p, err := d.planner.problem(e)
	if err != nil {
		return gangstate.Answer{}, err
	}
	decision := p.solve()
	if !decision.Placed {
		s.refusedKinds[e.kind()] = true
		return d.refusal(s, e, question)
	}
	if usesAny(&decision, question.Reserved) {
		if decision = p.limited(d.spareFor(p, question)).solve(); !decision.Placed {
			return gangstate.Answer{Refusal: "the free nodes are reserved", HeldBack: true, Searched: true}, nil
		}
	}
	assignment, err := assignmentOf(e, question, &decision, d.planner.cache.CapacityOf(p.gang.Roles[0].Need))
	return gangstate.Answer{Placed: true, Assignment: assignment, Searched: true}, err
}

// refusal returns the answer for a gang without room. The answer has nodes to reserve for
// the gang if the question requests them.
func (d *dovetail) refusal(s *sim, e *entry, question *gangstate.Question) (gangstate.Answer, error) {
	answer := gangstate.Answer{Refusal: "no room", Searched: true, Nodes: len(s.machines)}
	if !question.Reserve {
		return answer, nil
	}
	if question.Ends.Of != nil {
		found, err := d.firstStart(e, question.Ends)
		if answer.Reserve = found; err != nil || found.Nodes != nil {
			return answer, err
		}
	}
	var err error
	answer.Reserve.Nodes, err = d.empty.cheapestNodes(e, d.planner.cluster)
	return answer, err
}

// assignmentOf converts a decision of the planner to the assignment in gangstate.Answer.
func assignmentOf(e *entry, question *gangstate.Question, decision *plan.Decision, need gangs.Capacity) (gangs.Assignment, error) {
	a := gangs.Assignment{
		Nodes: map[types.UID]string{}, Rails: map[types.UID]int{}, Roles: map[types.UID]gangs.RoleSignature{},
		Needs: map[types.UID]gangs.Capacity{}, Short: map[string]int{},
	}
	if len(decision.Assignments) != len(e.pods) || len(question.Members) != len(e.pods) {
		return a, fmt.Errorf("job %d: %d of %d members were placed, %d asked for", e.id, len(decision.Assignments), len(e.pods), len(question.Members))
	}
	uids := map[string]types.UID{}
	for _, m := range question.Members {
		uids[m.Pod.Name] = m.Pod.UID
		a.Roles[m.Pod.UID] = gangs.RoleSignature{Role: m.Role, Signature: m.Signature}
		a.Needs[m.Pod.UID] = need
		a.Short[m.Role]++
	}
	for _, planned := range decision.Assignments {
		uid := uids[planned.Member]
		a.Nodes[uid], a.Rails[uid] = planned.Node, planned.Rail
	}
	return a, nil
}

// permit takes all members of a planned gang through Reserve and Permit, and returns
// their nodes. step is the tracker's answer for the first member.
func (d *dovetail) permit(e *entry, step gangstate.Step, now time.Time) ([]nodeChoice, error) {
	tracker, key := d.members.tracker, keyOf(e)
	choices := make([]nodeChoice, len(e.pods))
	for i, p := range e.pods {
		uid := p.object.UID
		if i > 0 {
			step = tracker.NextStep(key, uid, p.object.Name, now)
		}
		if step.Node == "" {
			return nil, fmt.Errorf("job %d: member %s has no node: %s", e.id, p.object.Name, step.Refusal)
		}
		choices[i] = d.planner.choose(step.Node, step.Rail)
		tracker.Reserve(key, uid, step.Node)
		if permit, attempt := tracker.Permit(key, uid); permit == gangstate.PermitComplete {
			tracker.Open(attempt)
		}
	}
	return choices, nil
}
