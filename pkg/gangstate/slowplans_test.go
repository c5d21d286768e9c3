// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

// A gang whose plan took six seconds is not planned again for six seconds, in no member's
// cycle. Then it is planned once more, as after any refusal.
func TestSlowGangPauses(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	step := s.tracker.NextStep(key, p.UID, p.Name, s.now)
	if step.Plan == nil {
		t.Fatalf("the gang is not planned: %q", step.Refusal)
	}
	const took = 6 * time.Second
	s.now = s.now.Add(took)
	step = s.tracker.Resolve(step.Plan, &Answer{Refusal: "the filters take too long", Temporary: true}, p.UID, s.now)
	if step.Effects.RetryAfter != firstBackoff {
		t.Errorf("the gang retries in %v, want %v", step.Effects.RetryAfter, firstBackoff)
	}
	for _, pod := range []*v1.Pod{q, p} {
		step = s.tracker.NextStep(key, pod.UID, pod.Name, s.now.Add(time.Second))
		if step.Plan != nil || step.Refusal != "the filters take too long" {
			t.Errorf("a second after its plan the gang is planned again in the cycle of %s, or refused with %q", pod.Name, step.Refusal)
		}
	}
	if step.Effects.RetryAfter != took-time.Second {
		t.Errorf("the refused member retries in %v, want %v", step.Effects.RetryAfter, took-time.Second)
	}
	if pods := s.tracker.Retry(key, s.now.Add(took)).Activate; len(pods) != 1 {
		t.Errorf("%d members are activated after the pause, want one", len(pods))
	}
	if step = s.tracker.NextStep(key, p.UID, p.Name, s.now.Add(took)); step.Plan == nil {
		t.Errorf("the gang is not planned after its pause: %q", step.Refusal)
	}
}

// The pause after a slow plan is for all gangs with slow plans, and for no other gang.
func TestSlowGangsPauseTogether(t *testing.T) {
	s := newSimulation(t, 0)
	s.groups.declare("slow", 1)
	s.groups.declare("slower", 1)
	s.groups.declare("quick", 1)
	refuse := func(gang string, took time.Duration) (planned bool) {
		pod := member(gang, gang)
		key, _ := s.tracker.options.Sources.Key(pod)
		if s.tracker.gangs[key] == nil {
			s.tracker.Upsert(pod, s.now)
		}
		step := s.tracker.NextStep(key, pod.UID, pod.Name, s.now)
		if step.Plan == nil {
			return false
		}
		s.now = s.now.Add(took)
		s.tracker.Resolve(step.Plan, &Answer{Refusal: "no room", Searched: true}, pod.UID, s.now)
		return true
	}
	for _, test := range []struct {
		gang string
		took time.Duration
		want bool
	}{
		{"slow", 4 * time.Second, true},
		{"slower", 9 * time.Second, true}, // nobody knew that it is slow
		{"quick", time.Millisecond, true},
		{"slow", 0, false},
		{"slower", 0, false},
		{"quick", time.Millisecond, true},
	} {
		if got := refuse(test.gang, test.took); got != test.want {
			t.Errorf("gang %s is planned: %v, want %v", test.gang, got, test.want)
		}
	}
}
