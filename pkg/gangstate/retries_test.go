// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

// One member has a refused gang planned again; if nothing comes of that, another may.
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

// A backoff ends for the next event and for the timer that an earlier event set. One of them
// has the gang planned again, and the other does not.
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

// A gang that is refused again and again backs off as a whole, whichever member retries, until
// a member is placed; and if an event came meanwhile that may help, it retries when the
// backoff is over.
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

// While the member in whose cycle the gang was refused is in the queue again, no hint is
// evaluated for any member; so it has the gang planned again, and the refusal answers the
// other members alone.
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
