// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

var worker = gangs.RoleSignature{Role: "worker"}

// refuseSecond plans the pair p and q, lets p reserve node n1, and has a filter refuse q on
// node n2. p releases its node. It returns the effects of the end of the attempt.
func (s *simulation) refuseSecond(key gangs.Key, p, q *v1.Pod) Effects {
	s.t.Helper()
	step := s.tracker.Ask(key, s.now)
	if step.Plan == nil {
		s.t.Fatalf("the gang is not planned: %s", step.Refusal)
	}
	plan := gangs.Assignment{
		Nodes: map[types.UID]string{p.UID: "n1", q.UID: "n2"}, Short: map[string]int{"worker": 2},
		Roles: map[types.UID]gangs.RoleSignature{p.UID: worker, q.UID: worker},
	}
	s.tracker.Resolve(step.Plan, &Answer{Placed: true, Assignment: plan, Searched: true}, "", s.now)
	s.tracker.Reserve(key, p.UID, "n1")
	s.tracker.Permit(key, p.UID)
	attempt := s.tracker.FilterRefused(key, q, "n2", "a filter refused", s.now).Release
	if attempt == nil {
		s.t.Fatal("the refusal does not end the attempt")
	}
	s.tracker.Unreserve(key, p, "n1", s.now)
	return s.tracker.Released(attempt, s.now)
}

// asked returns the request of the gang's next plan.
func (s *simulation) asked(key gangs.Key) gangs.Request {
	s.t.Helper()
	step := s.tracker.Ask(key, s.now)
	if step.Plan == nil {
		s.t.Fatalf("the gang is not planned: %s", step.Refusal)
	}
	return step.Plan.Request
}

// What a refusal taught outlives the backoff, until an event may have made it false.
func TestLessonsOutliveTheBackoff(t *testing.T) {
	want := []gangs.Conflict{{{Role: worker, Node: "n2", Count: 1}, {Role: worker, Node: "n1", Count: 1}}}
	tests := map[string]struct {
		happens func(s *simulation, key gangs.Key, p, q *v1.Pod)
		want    []gangs.Conflict
	}{
		"nothing":                  {func(*simulation, gangs.Key, *v1.Pod, *v1.Pod) {}, want},
		"an event on another node": {func(s *simulation, key gangs.Key, _, _ *v1.Pod) { s.tracker.NoteEvent(key, Event{Node: "n3"}, s.now) }, want},
		"an event on its node":     {func(s *simulation, key gangs.Key, _, _ *v1.Pod) { s.tracker.NoteEvent(key, Event{Node: "n2"}, s.now) }, nil},
		"an event where the other member was": {func(s *simulation, key gangs.Key, _, _ *v1.Pod) {
			s.tracker.NoteEvent(key, Event{Node: "n1"}, s.now)
		}, nil},
		"an event anywhere": {func(s *simulation, key gangs.Key, _, _ *v1.Pod) { s.tracker.NoteEvent(key, Event{}, s.now) }, nil},
		"an event that helps members without a hint": {func(s *simulation, key gangs.Key, _, _ *v1.Pod) {
			s.tracker.RetryOthers(key, Event{ID: 1, Affects: func(*v1.Pod) bool { return true }}, s.now)
		}, nil},
		"an event that helps no member": {func(s *simulation, key gangs.Key, _, _ *v1.Pod) {
			s.tracker.RetryOthers(key, Event{ID: 1, Affects: func(*v1.Pod) bool { return false }}, s.now)
		}, want},
		"an event of a namespace": {func(s *simulation, _ gangs.Key, _, _ *v1.Pod) {
			s.tracker.RetryWhere(func(*v1.Pod) bool { return true }, s.now)
		}, nil},
		"a member changes": {func(s *simulation, _ gangs.Key, _, q *v1.Pod) {
			q = q.DeepCopy()
			q.Labels["x"] = "y"
			s.tracker.Upsert(q, s.now)
		}, nil},
		"the declaration changes": {func(s *simulation, key gangs.Key, _, _ *v1.Pod) { s.tracker.DeclarationChanged(key, s.now) }, nil},
		"much time passes":        {func(s *simulation, _ gangs.Key, _, _ *v1.Pod) { s.now = s.now.Add(lessonLife + 1) }, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(t, 0)
			key, p, q := s.pair("p", "q")
			for range s.tracker.options.MaxReplans {
				if effects := s.refuseSecond(key, p, q); effects.RetryAfter != 0 || len(effects.Activate) != 2 {
					t.Fatalf("retry in %v, %d members activated, want both now", effects.RetryAfter, len(effects.Activate))
				}
			}
			if effects := s.refuseSecond(key, p, q); effects.RetryAfter != firstBackoff || len(effects.Activate) != 0 {
				t.Fatalf("retry in %v, %d members activated, want none before %v", effects.RetryAfter, len(effects.Activate), firstBackoff)
			}
			s.now = s.now.Add(firstBackoff)
			tc.happens(s, key, p, q)
			s.tracker.Retry(key, s.now)
			if diff := cmp.Diff(tc.want, s.asked(key).Conflicts); diff != "" {
				t.Errorf("conflicts of the next plan (-want,+got):\n%s", diff)
			}
		})
	}
}

// A gang whose plans fail without a lesson, because a member loses its node, waits for an
// event.
func TestNoRetryWithoutALesson(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	var effects Effects
	for range s.tracker.options.MaxReplans + 1 {
		step := s.tracker.Ask(key, s.now)
		plan := gangs.Assignment{
			Nodes: map[types.UID]string{p.UID: "n1", q.UID: "n2"}, Short: map[string]int{"worker": 2},
			Roles: map[types.UID]gangs.RoleSignature{p.UID: worker, q.UID: worker},
		}
		s.tracker.Resolve(step.Plan, &Answer{Placed: true, Assignment: plan, Searched: true}, "", s.now)
		s.tracker.Reserve(key, p.UID, "n1")
		attempt := s.tracker.Unreserve(key, p, "n1", s.now).Release
		effects = s.tracker.Released(attempt, s.now)
	}
	if effects.RetryAfter != 0 || len(effects.Activate) != 0 {
		t.Errorf("retry in %v, %d members activated, want neither", effects.RetryAfter, len(effects.Activate))
	}
}
