// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// attempt returns an attempt with these planned nodes and roles. short members are missing.
func (s *simulation) attempt(key gangs.Key, nodes, roles map[types.UID]string, short int) *Attempt {
	signed := map[types.UID]gangs.RoleSignature{}
	for uid, role := range roles {
		signed[uid] = gangs.RoleSignature{Role: role}
	}
	return newAttempt(gangs.Gang{Key: key}, gangs.Assignment{Nodes: nodes, Roles: signed, Short: map[string]int{"worker": short}}, s.now)
}

// begin puts an attempt in force. It returns false if a member of the planned quorum left.
func (s *simulation) begin(attempt *Attempt) bool {
	g := s.tracker.gangs[attempt.Key]
	whole := s.tracker.begin(g, attempt, s.now)
	s.tracker.settle(g)
	return whole
}

// A plan may need members that bind by an earlier plan. If one of them leaves, the members
// that reserve are no quorum.
func TestMemberThatBindsLeavesWhileOthersReserve(t *testing.T) {
	s := newSimulation(t, 0)
	key, binds, joins := s.pair("binds", "joins")
	attempt := s.attempt(key, map[types.UID]string{joins.UID: "node"}, map[types.UID]string{joins.UID: "worker"}, 1)
	attempt.reserved[binds.UID] = "node"
	s.begin(attempt)
	if released := s.tracker.Remove(binds, s.now).Release; released != attempt {
		t.Error("the attempt goes on below its quorum")
	}
}

// Members without room keep their refusal when the gang may bind. Members that came after
// the plan was made get their own plan.
func TestOpenActivatesMembersThatCameMeanwhile(t *testing.T) {
	s := newSimulation(t, 0)
	key := s.groups.declare("a", 1)
	p, left, came, notReady := member("a", "p"), member("a", "left"), member("a", "came"), gated(member("a", "gated"))
	s.tracker.Upsert(left, s.now)
	s.tracker.Upsert(p, s.now)
	s.room = 1
	attempt := s.attempt(key, map[types.UID]string{p.UID: "node"}, map[types.UID]string{p.UID: "worker", left.UID: "worker"}, 1)
	s.begin(attempt)
	s.refuse(key, "no room for one more", "")
	s.tracker.Upsert(came, s.now)
	s.tracker.Upsert(notReady, s.now)
	effects, ok := s.tracker.Open(attempt)
	if !ok || len(effects.Activate) != 1 || effects.Activate[0].Name != "came" {
		t.Errorf("opened %v, activated %v; want the member that came meanwhile", ok, effects.Activate)
	}
	if refusal := s.tracker.gangs[key].refusal; refusal.answers(came.UID, s.now) {
		t.Errorf("it is answered with %q, which was about other members", refusal.message)
	}
}

// A member may leave during planning. No later event would remove it from the plan.
func TestMemberLeavesWhileItsPlaceIsPlanned(t *testing.T) {
	for name, test := range map[string]struct {
		short       int
		whole, over bool
	}{
		"it was to join a gang that runs": {short: 0, whole: true, over: true},
		"the quorum counts on it":         {short: 2, whole: false, over: false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(t, 0)
			key := s.groups.declare("a", 1)
			stays, leaves := placedOn(member("a", "stays"), "node"), member("a", "leaves")
			s.tracker.Upsert(stays, s.now)
			s.tracker.Upsert(leaves, s.now)
			attempt := s.attempt(key, map[types.UID]string{leaves.UID: "node"}, map[types.UID]string{leaves.UID: "worker"}, test.short)
			s.tracker.Remove(leaves, s.now)
			if whole := s.begin(attempt); whole != test.whole {
				t.Errorf("the plan is whole: %v, want %v", whole, test.whole)
			}
			if over := s.tracker.attemptOf(key) == nil; over != test.over {
				t.Errorf("the plan is over: %v, want %v", over, test.over)
			}
		})
	}
}

// The member that completes the quorum must not open an attempt that failed between its
// arrival and the opening.
func TestAttemptThatFailedStaysFailed(t *testing.T) {
	s := newSimulation(t, 0)
	s.tracker.options.MaxReplans = 1
	key := s.groups.declare("a", 1)
	p := member("a", "p")
	s.tracker.Upsert(p, s.now)
	s.room = 1
	s.plan(key)
	s.tracker.Reserve(key, p.UID, "node")
	permit, attempt := s.tracker.Permit(key, p.UID)
	if permit != PermitComplete {
		t.Fatalf("Permit returned %v, want %v", permit, PermitComplete)
	}
	if released := s.tracker.Remove(p, s.now).Release; released != attempt {
		t.Fatal("the attempt outlives a member that it planned")
	}
	if _, ok := s.tracker.Open(attempt); ok {
		t.Error("the failed attempt was opened")
	}
	if holders, _ := s.tracker.Holders(attempt); len(holders) != 1 {
		t.Errorf("%d members have to give back, want 1", len(holders))
	}
	s.tracker.Unreserve(key, p, "node", s.now)
	if holders, _ := s.tracker.Holders(attempt); len(holders) != 0 {
		t.Errorf("%v still hold what they gave back, so releasing never ends", holders)
	}
	s.tracker.Released(attempt, s.now)
	if len(s.tracker.gangs) != 0 {
		t.Error("the gang outlives its last member")
	}
}

// A member with failing cycles must not make the others hold their nodes until the permit
// times out.
func TestErrorsOfOneMemberEndTheAttempt(t *testing.T) {
	s := newSimulation(t, 0)
	key, _, q := s.pair("p", "q")
	s.room = 2
	s.plan(key)
	for range maxCycles {
		if step := s.tracker.NextStep(key, q.UID, q.Name, s.now); step.Node == "" || step.Effects.Release != nil {
			t.Fatal("the member does not get its cycles")
		}
	}
	if step := s.tracker.NextStep(key, q.UID, q.Name, s.now); step.Effects.Release == nil || step.Refusal == "" {
		t.Error("the member gets one cycle after another")
	}
}
