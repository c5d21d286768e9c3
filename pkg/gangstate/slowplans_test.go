// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
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

// Neither a timer nor an event ends the pause after a slow plan.
func TestRetriesWaitForSlowGangs(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	step := s.tracker.NextStep(key, p.UID, p.Name, s.now)
	const took = 6 * time.Second
	s.now = s.now.Add(took)
	step = s.tracker.Resolve(step.Plan, &Answer{Refusal: "the filters take too long", Temporary: true}, p.UID, s.now)
	for _, after := range []time.Duration{step.Effects.RetryAfter, 5 * time.Second} {
		effects := s.tracker.Retry(key, s.now.Add(after))
		if len(effects.Activate) > 0 || effects.RetryAfter != took-after {
			t.Errorf("after %v, %v are activated, and the gang retries in %v, want %v", after, podNames(effects.Activate), effects.RetryAfter, took-after)
		}
		if retries, _ := s.tracker.AllowRetry(key, q, s.now.Add(after)); retries {
			t.Errorf("after %v an event has the gang planned", after)
		}
	}
	if retries, _ := s.tracker.AllowRetry(key, q, s.now.Add(took)); !retries {
		t.Error("after the pause no event has the gang planned")
	}
}

// Gangs with slow plans are planned again one after the other.
func TestSlowGangsRetryInTurn(t *testing.T) {
	s := newSimulation(t, 0)
	var keys []gangs.Key
	for _, name := range []string{"a", "b"} {
		keys = append(keys, s.groups.declare(name, 1))
		pod := member(name, name)
		s.tracker.Upsert(pod, s.now)
		step := s.tracker.NextStep(keys[len(keys)-1], pod.UID, pod.Name, s.now)
		s.now = s.now.Add(6 * time.Second)
		s.tracker.Resolve(step.Plan, &Answer{Refusal: "the filters take too long", Temporary: true}, pod.UID, s.now)
	}
	s.now = s.now.Add(6 * time.Second)
	if pods := s.tracker.Retry(keys[0], s.now).Activate; len(pods) != 1 {
		t.Errorf("%v are activated after the pause, want one", podNames(pods))
	}
	if effects := s.tracker.Retry(keys[1], s.now); len(effects.Activate) > 0 || effects.RetryAfter != 12*time.Second {
		t.Errorf("while another gang is to be planned, %v are activated, and the gang retries in %v", podNames(effects.Activate), effects.RetryAfter)
	}
	if step := s.tracker.NextStep(keys[0], "uid-a", "a", s.now); step.Plan == nil {
		t.Errorf("the first gang is not planned in its turn: %q", step.Refusal)
	}
}

// slowRace has two gangs with slow plans. The timer of the first fires as soon as its pause
// ends, and the second is looked at every five seconds.
type slowRace struct {
	*simulation
	gangs [2]slowRacer
}

type slowRacer struct {
	key   gangs.Key
	pod   *v1.Pod
	wakes time.Time // when its timer fires or it is looked at
	asks  bool      // it was activated
	plans int
}

const (
	racePoll  = 5 * time.Second
	racePlan  = 6 * time.Second
	raceDelay = 7 * time.Millisecond // from activation to the cycle
)

func newSlowRace(t *testing.T) *slowRace {
	r := &slowRace{simulation: newSimulation(t, 0)}
	for i, name := range []string{"timer", "polled"} {
		r.gangs[i] = slowRacer{key: r.groups.declare(name, 1), pod: member(name, name), wakes: r.now, asks: true}
		r.tracker.Upsert(r.gangs[i].pod, r.now)
	}
	return r
}

// wake retries the gangs whose time comes until then, in the order of time.
func (r *slowRace) wake(until time.Time) {
	for {
		g, after := &r.gangs[0], racePoll
		if r.gangs[1].wakes.Before(g.wakes) {
			g = &r.gangs[1]
		}
		if g.wakes.After(until) {
			return
		}
		effects := r.tracker.Retry(g.key, g.wakes)
		g.asks = g.asks || len(effects.Activate) > 0
		if g == &r.gangs[0] && effects.RetryAfter > 0 {
			after = effects.RetryAfter
		}
		g.wakes = g.wakes.Add(after)
	}
}

// cycle has a gang planned that was activated. While the plan runs, timers fire.
func (r *slowRace) cycle(g *slowRacer) {
	if !g.asks {
		return
	}
	g.asks = false
	r.now = r.now.Add(raceDelay)
	step := r.tracker.NextStep(g.key, g.pod.UID, g.pod.Name, r.now)
	if step.Plan == nil {
		return
	}
	r.wake(r.now.Add(racePlan))
	r.now = r.now.Add(racePlan)
	step = r.tracker.Resolve(step.Plan, &Answer{Refusal: "the filters take too long", Temporary: true}, g.pod.UID, r.now)
	if g.plans++; g == &r.gangs[0] {
		g.wakes = r.now.Add(step.Effects.RetryAfter)
	}
}

// Two gangs with slow plans take turns, whatever wakes them. Together they get at most half of
// the time, but for the first plans, of which nobody knew that they are slow.
func TestSlowGangsTakeTurns(t *testing.T) {
	const length = 10 * time.Minute
	const half = int(length / racePlan / 2)
	r := newSlowRace(t)
	for end := r.now.Add(length); r.now.Before(end); r.now = r.now.Add(raceDelay) {
		r.wake(r.now)
		r.cycle(&r.gangs[0])
		r.cycle(&r.gangs[1])
	}
	timer, polled := r.gangs[0].plans, r.gangs[1].plans
	if sum := timer + polled; sum > half+2 || sum < half/2 {
		t.Errorf("%d plans in %v, want half of the time", sum, length)
	}
	if min(timer, polled) < half/4 {
		t.Errorf("the gang with a timer has %d plans, the other gang %d", timer, polled)
	}
}

// The rest of a gang whose bindings failed is not planned before other gangs while only time
// helps: until its backoff is over, or the pause after a slow plan.
func TestRestWaitsForTime(t *testing.T) {
	for _, took := range []time.Duration{0, 6 * time.Second} {
		s, key, pods := binds(t, 2, false)
		s.bind(pods[0], true)
		s.fail(pods[1], false)
		s.tracker.FilterRefused(key, pods[1], "node", "the node is full", s.now)
		step := s.tracker.Ask(key, s.now)
		s.now = s.now.Add(took)
		s.tracker.Resolve(step.Plan, &Answer{Refusal: "the budget is spent", Temporary: true}, "", s.now)
		pause := max(firstBackoff, took)
		for _, after := range []time.Duration{0, pause - 1, pause} {
			if got := len(s.tracker.Unfinished(gangs.Key{}, s.now.Add(after))) > 0; got != (after == pause) {
				t.Errorf("a plan took %v, and %v later the rest is planned again: %v", took, after, got)
			}
		}
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

// A PodGroup whose plan took six seconds may not enter the queue for six seconds, or longer if
// preemption plans it in the same cycle. A plan that is quick, or places it, ends that.
func TestSlowPodGroupPauses(t *testing.T) {
	const took = 6 * time.Second
	tr := podGroupTracker(t)
	pods := []*v1.Pod{podOf("a", "p", ""), podOf("a", "q", "")}
	request := podGroupRequest("a", 2, 0, pods...)
	refuse := func(took time.Duration, now time.Time) {
		answer := &Answer{Refusal: "the filters take too long", Temporary: true, Began: now.Add(-took)}
		tr.ResolvePodGroup(tr.RefusePodGroup(request, nil, answer, now), answer, now)
	}
	admitted := func(now time.Time, want bool) {
		t.Helper()
		for _, pod := range pods {
			if got := tr.AdmitPodGroup(pod, now); got != want {
				t.Errorf("after %v, pod %s is admitted: %v, want %v", now.Sub(epoch), pod.Name, got, want)
			}
		}
	}
	admitted(epoch, true)
	refuse(took, epoch)
	admitted(epoch.Add(took-1), false)
	now := epoch.Add(took)
	tr.NotePodGroupPlan(epoch, now)
	admitted(now.Add(took-1), false)
	now = now.Add(took)
	admitted(now, true)
	refuse(took, now)
	admitted(now.Add(time.Second), false)
	refuse(time.Millisecond, now.Add(time.Second))
	admitted(now.Add(time.Second), true)
	refuse(took, now)
	tr.PodGroupPlaced(&request, now)
	admitted(now, true)
	if len(tr.gangs) != 0 || len(tr.podGroups) != 0 {
		t.Errorf("the tracker keeps %d gangs and %d names", len(tr.gangs), len(tr.podGroups))
	}
}

// A PodGroup whose waiting pods are gone is forgotten, though others of its pods run.
func TestSlowPodGroupWithoutWaitingPodsIsForgotten(t *testing.T) {
	tr := podGroupTracker(t)
	running, late := podOf("a", "p", "n"), podOf("a", "q", "")
	request := podGroupRequest("a", 1, 0, running, late)
	answer := &Answer{Refusal: "the filters take too long", Temporary: true, Began: epoch.Add(-6 * time.Second)}
	tr.ResolvePodGroup(tr.RefusePodGroup(request, nil, answer, epoch), answer, epoch)
	if len(tr.gangs) != 1 {
		t.Errorf("the tracker keeps %d gangs, want the refused one", len(tr.gangs))
	}
	tr.Remove(late, epoch)
	if len(tr.gangs) != 0 {
		t.Errorf("the tracker keeps %d gangs without waiting pods", len(tr.gangs))
	}
}

// A slow plan makes other gangs with slow plans wait, even if it places its PodGroup.
func TestSlowPodGroupThatIsPlacedMakesOthersWait(t *testing.T) {
	const took = 6 * time.Second
	tr := podGroupTracker(t)
	requests := map[string]gangs.Request{}
	for _, name := range []string{"a", "b"} {
		requests[name] = podGroupRequest(name, 1, 0, podOf(name, name, ""))
		answer := &Answer{Refusal: "the filters take too long", Temporary: true, Began: epoch.Add(-took)}
		tr.ResolvePodGroup(tr.RefusePodGroup(requests[name], nil, answer, epoch), answer, epoch)
	}
	now := epoch.Add(took)
	placed, waits := requests["a"], podOf("b", "b", "")
	tr.AdmitPodGroup(podOf("a", "a", ""), now)
	began := now.Add(time.Second)
	now = began.Add(took)
	tr.NotePodGroupPlan(began, now)
	tr.PodGroupPlaced(&placed, now)
	if tr.AdmitPodGroup(waits, now.Add(took-1)) || !tr.AdmitPodGroup(waits, now.Add(took)) {
		t.Errorf("the other group is not admitted %v after the plan", took)
	}
}
