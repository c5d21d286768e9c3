// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

// One member retries for a refused gang. If it does not, another member may.
func TestOneMemberRetries(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	s.refuse(key, "no room", "")
	if retries, _ := s.tracker.AllowRetry(key, p, s.now.Add(firstBackoff)); !retries {
		t.Error("the first member does not retry")
	}
	if retries, _ := s.tracker.AllowRetry(key, q, s.now.Add(firstBackoff)); retries {
		t.Error("the second member retries beside the first")
	}
	if retries, _ := s.tracker.AllowRetry(key, q, s.now.Add(firstBackoff+retryMemberLife)); !retries {
		t.Error("the second member does not retry though the first never did")
	}
}

// After a backoff either the next event or the timer of an earlier event retries the gang,
// but not both.
func TestOneMemberRetriesWhenTheBackoffEnds(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	s.refuse(key, "no room", "")
	if _, effects := s.tracker.AllowRetry(key, p, s.now); effects.RetryAfter != firstBackoff {
		t.Fatalf("after an event the gang retries in %v, want %v", effects.RetryAfter, firstBackoff)
	}
	if retries, _ := s.tracker.AllowRetry(key, q, s.now.Add(firstBackoff)); !retries {
		t.Fatal("the member whose hint is evaluated when the backoff is over does not retry")
	}
	if pods := s.tracker.Retry(key, s.now.Add(firstBackoff)).Activate; len(pods) != 0 {
		t.Errorf("%s retries as well, because of the earlier event", pods[0].Name)
	}
}

// A gang that is refused repeatedly backs off as a whole, for any retrying member, until a
// member is placed. If an event that may help came meanwhile, it retries after the backoff.
func TestGangBacksOffAsOne(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	for i, pause := range []time.Duration{firstBackoff, 2 * firstBackoff, 4 * firstBackoff} {
		s.refuse(key, "no room", "")
		if pods := s.tracker.Retry(key, s.now.Add(maxBackoff)).Activate; len(pods) != 0 {
			t.Errorf("refused %d times: %d members are activated without an event", i+1, len(pods))
		}
		for j, pod := range []*v1.Pod{p, q} {
			retries, effects := s.tracker.AllowRetry(key, pod, s.now.Add(pause-1))
			if want := []time.Duration{1, 0}[j]; retries || effects.RetryAfter != want {
				t.Errorf("refused %d times: retries %v, or later in %v, %d members before it, want in %v", i+1, retries, effects.RetryAfter, j, want)
			}
		}
		if r := s.tracker.gangs[key].refusal; r.message != "no room" || !r.answers(p.UID, s.now.Add(pause-1)) {
			t.Errorf("refused %d times: the refusal is %q, %v while it backs off", i+1, r.message, r.answers(p.UID, s.now.Add(pause-1)))
		}
		if pods := s.tracker.Retry(key, s.now.Add(pause-1)).Activate; len(pods) != 0 {
			t.Errorf("refused %d times: %d members are activated before %v have passed", i+1, len(pods), pause)
		}
		if pods := s.tracker.Retry(key, s.now.Add(pause)).Activate; len(pods) != 1 {
			t.Errorf("refused %d times: %d members are activated after %v, want one", i+1, len(pods), pause)
		}
	}
	for range 20 {
		s.refuse(key, "no room", "")
	}
	if retries, _ := s.tracker.AllowRetry(key, p, s.now.Add(maxBackoff)); !retries {
		t.Errorf("refused often: does not retry after %v", maxBackoff)
	}
	s.tracker.Upsert(placedOn(p, "n"), s.now)
	s.refuse(key, "no room for more", "")
	if retries, _ := s.tracker.AllowRetry(key, q, s.now.Add(firstBackoff)); !retries {
		t.Error("the backoff did not begin anew when a member was placed")
	}
}

// While the refused member is in the queue again, the queue evaluates no hint for any
// member. The gang is therefore planned again in that member's cycle. The refusal applies
// only to the other members.
func TestRefusedMemberRetries(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	s.refuse(key, "no room", p.UID)
	for pod, want := range map[*v1.Pod]bool{p: false, q: true} {
		if served := s.tracker.gangs[key].refusal.answers(pod.UID, s.now); served != want {
			t.Errorf("the refusal in the cycle of %s answers %s: %v, want %v", p.Name, pod.Name, served, want)
		}
	}
}

// A plan answers for the members as they were when it was asked for. If it finds no room and
// they have changed since, the gang is planned again.
func TestMembersChangeWhileTheGangIsPlanned(t *testing.T) {
	labelled := member("a", "q")
	labelled.Labels["x"] = "y"
	tests := map[string]struct {
		happens func(s *simulation, p, q *v1.Pod)
		want    bool
	}{
		"nothing":                {func(*simulation, *v1.Pod, *v1.Pod) {}, false},
		"a status is written":    {func(s *simulation, _, q *v1.Pod) { s.tracker.Upsert(withIP(q), s.now) }, false},
		"a member changes":       {func(s *simulation, _, _ *v1.Pod) { s.tracker.Upsert(labelled, s.now) }, true},
		"a member comes":         {func(s *simulation, _, _ *v1.Pod) { s.tracker.Upsert(member("a", "r"), s.now) }, true},
		"a member leaves":        {func(s *simulation, _, q *v1.Pod) { s.tracker.Remove(q, s.now) }, true},
		"the one that asks goes": {func(s *simulation, p, _ *v1.Pod) { s.tracker.Remove(p, s.now) }, true},
		"a member binds":         {func(s *simulation, _, q *v1.Pod) { s.tracker.Upsert(placedOn(q, "n"), s.now) }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(t, 0)
			key, p, q := s.pair("p", "q")
			s.tracker.Upsert(member("a", "other"), s.now)
			step := s.tracker.NextStep(key, p.UID, p.Name, s.now)
			tc.happens(s, p, q)
			step = s.tracker.Resolve(step.Plan, &Answer{Refusal: "no room", Searched: true}, p.UID, s.now)
			if again := step.Effects.RetryAfter > 0; again != tc.want {
				t.Errorf("planned again: %v, want %v", again, tc.want)
			}
			s.now = s.now.Add(firstBackoff)
			if pods := s.tracker.Retry(key, s.now).Activate; (len(pods) == 1) != tc.want {
				t.Errorf("%d members are activated when the backoff ends, want one: %v", len(pods), tc.want)
			}
		})
	}
}

// The queue may give a member that changed its cycle before the tracker knows of the change.
// The refusal from before it is dropped.
func TestMemberChangesAfterTheGangIsRefused(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	s.refuse(key, "no room", p.UID)
	if effects := s.tracker.Upsert(withIP(q), s.now); effects.RetryAfter != 0 {
		t.Error("the gang is planned again because a status was written")
	}
	q = q.DeepCopy()
	q.Labels["x"] = "y"
	if effects := s.tracker.Upsert(q, s.now); effects.RetryAfter != firstBackoff {
		t.Errorf("the gang is planned again in %v, want %v", effects.RetryAfter, firstBackoff)
	}
	if s.tracker.gangs[key].refusal.answers(q.UID, s.now) {
		t.Error("the member that changed is answered with the refusal from before")
	}
	if pods := s.tracker.Retry(key, s.now.Add(firstBackoff)).Activate; len(pods) != 1 {
		t.Errorf("%d members are activated when the backoff ends, want one", len(pods))
	}
}

func withIP(pod *v1.Pod) *v1.Pod {
	pod = pod.DeepCopy()
	pod.Status.PodIP = "10.0.0.1"
	return pod
}

// Each member that waits gets a hint about an event; the gang's members are compared with it
// once. A later event, and a later refusal, are compared anew.
func TestEventIsJudgedOnce(t *testing.T) {
	s := newSimulation(t, 0)
	key, _, _ := s.pair("p", "q")
	judged := 0
	no := func(*v1.Pod) bool { judged++; return false }
	s.refuse(key, "no room", "")
	for range 3 {
		s.tracker.RetryOthers(key, Event{ID: 1, Affects: no}, s.now)
	}
	if judged != 2 {
		t.Errorf("members are compared %d times with one event, want 2", judged)
	}
	s.tracker.RetryOthers(key, Event{ID: 2, Affects: no}, s.now)
	s.refuse(key, "no room", "")
	s.tracker.RetryOthers(key, Event{ID: 2, Affects: no}, s.now)
	if judged != 6 {
		t.Errorf("members are compared %d times with two events and a later refusal, want 6", judged)
	}
}
