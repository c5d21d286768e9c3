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
