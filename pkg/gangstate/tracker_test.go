// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// This test runs long random histories of two gangs. The simulation's oracles check each
// step. The oracles in this test check the end.
func TestTrackerOverRandomHistories(t *testing.T) {
	for seed := range uint64(500) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			s := newSimulation(t, seed)
			s.groups.declare("a", int32(1+s.rnd.IntN(5)))
			s.groups.declare("b", int32(1+s.rnd.IntN(5)))
			s.room = s.rnd.IntN(12)
			for range 300 {
				s.step()
			}
			s.atRest()
			s.allPlacedWhenThereIsRoom()
			s.nothingIsKept()
		})
	}
}

// step performs one random event, if there is a suitable pod.
func (s *simulation) step() {
	anywhere := func(*v1.Pod) bool { return true }
	held := func(p *v1.Pod) bool { return len(p.Spec.SchedulingGates) > 0 }
	luck := s.rnd.IntN(8) > 0
	switch n := s.rnd.IntN(100); {
	case n < 26:
		s.outside(n)
	case n < 32:
		s.to(held, func(pod *v1.Pod) { s.change(pod, func(p *v1.Pod) { p.Spec.SchedulingGates = nil }) })
	case n < 38:
		s.to(anywhere, s.remove)
	case n < 40:
		s.to(s.is(idle), func(pod *v1.Pod) {
			s.change(pod, func(p *v1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: epoch} })
		})
	case n < 42:
		s.to(s.is(bound), s.succeed)
	case n < 43:
		s.to(s.is(idle), s.claim)
	case n < 44:
		s.to(s.is(idle), s.silence)
	case n < 45:
		s.to(anywhere, func(pod *v1.Pod) { s.change(pod, func(p *v1.Pod) { p.Status.PodIP += "1" }) })
	case n < 49:
		s.learn()
	case n < 60:
		s.release()
	case n < 72:
		s.to(s.is(binding), func(pod *v1.Pod) { s.bind(pod, luck) })
	default:
		s.to(s.is(active), func(pod *v1.Pod) { s.cycle(pod, luck) })
	}
}

func (s *simulation) to(where func(*v1.Pod) bool, do func(*v1.Pod)) {
	if pod := s.pick(where); pod != nil {
		do(pod)
	}
}

// outside performs an event that is not part of a pod's life.
func (s *simulation) outside(n int) {
	gang := string(rune('a' + s.rnd.IntN(2)))
	switch {
	case n < 16:
		s.create(gang)
	case n < 18:
		s.apply(s.tracker.DeclarationChanged(s.groups.declare(gang, int32(1+s.rnd.IntN(5))), s.now))
	case n < 23:
		s.room += s.rnd.IntN(3)
		s.event()
	default:
		s.pass(time.Duration(s.rnd.IntN(10)) * time.Second)
	}
}

// atRest completes everything in progress. Then no unbound pod holds a node, except for
// members that a planned member still joins.
func (s *simulation) atRest() {
	for range 3 { // members without cycles end attempts
		s.settle()
		s.pass(stallLimit + maxTick)
	}
	s.settle()
	if pod := s.pick(s.is(waiting)); pod != nil {
		s.t.Errorf("pod %s waits in Permit, and no cycle is to come", pod.Name)
	}
	for key, g := range s.tracker.gangs {
		if attempt := g.attempt; attempt != nil && (attempt.phase != Binding || len(attempt.reserved) > 0) {
			s.t.Errorf("%s has an attempt in phase %v with %d reserved, at rest", key, attempt.phase, len(attempt.reserved))
		}
	}
}

// allPlacedWhenThereIsRoom checks liveness: after one event and the backoff, every gang
// with a ready quorum is placed whole.
func (s *simulation) allPlacedWhenThereIsRoom() {
	for _, uid := range slices.Sorted(maps.Keys(s.claimless)) {
		if pod := s.store[uid]; pod != nil {
			s.claim(pod)
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(s.mute)) {
		if pod := s.store[uid]; pod != nil {
			s.silence(pod)
		}
	}
	s.settle()
	s.room += 1000
	s.event()
	s.settle()
	s.pass(maxBackoff)
	s.settle()
	for _, g := range s.tracker.gangs {
		declared, readiness, err := g.read()
		if err != nil || !g.schedulable(readiness) {
			continue
		}
		for _, pod := range g.pending() {
			if g.members[pod.UID].Ready() {
				s.t.Errorf("pod %s of a gang of %d (%+v) is not placed, and no activation comes", pod.Name, declared.Min, readiness)
			}
		}
	}
}

// nothingIsKept deletes every pod and checks that no state is left.
func (s *simulation) nothingIsKept() {
	for len(s.store) > 0 {
		s.remove(s.pick(func(*v1.Pod) bool { return true }))
	}
	s.settle()
	if left := s.tracker.Sizes(); left != (Sizes{}) {
		s.t.Errorf("left after all pods are deleted: %+v", left)
	}
}

// Status returns the right sentence for each state of a gang.
func TestStatus(t *testing.T) {
	foreign := func(p *v1.Pod) *v1.Pod { p.Spec.SchedulerName = "default-scheduler"; return p }
	tests := map[string]struct {
		min  int32
		pods []*v1.Pod
		no   string
		want string
	}{
		"no declaration":    {pods: []*v1.Pod{member("a", "p")}, want: "waiting for podgroup ml/a, which does not exist"},
		"too few":           {min: 3, pods: []*v1.Pod{member("a", "p")}, want: "waiting for 2 of 3 members of podgroup ml/a: spec.minMember is 3, and 1 exist so far"},
		"one is not ready":  {min: 2, pods: []*v1.Pod{member("a", "p"), gated(member("a", "q"))}, want: "waiting for 1 of 2 members of podgroup ml/a: pod q has scheduling gate example.com/later"},
		"refused":           {min: 1, pods: []*v1.Pod{member("a", "p")}, no: "no room", want: "no room"},
		"nothing is wrong":  {min: 1, pods: []*v1.Pod{member("a", "p")}},
		"all are placed":    {min: 2, pods: []*v1.Pod{placedOn(member("a", "p"), "n")}},
		"another scheduler": {min: 2, pods: []*v1.Pod{foreign(member("a", "p"))}},
		"a broken minimum":  {min: -1, pods: []*v1.Pod{member("a", "p")}, want: "spec.minMember of podgroup ml/a is -1, but must be at least 1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(t, 0)
			key := gangs.CoschedulingKey("ml", "a")
			if tc.min != 0 {
				s.groups.declare("a", tc.min)
			}
			for _, pod := range tc.pods {
				s.tracker.Upsert(pod, s.now)
			}
			if tc.no != "" {
				s.refuse(key, tc.no, "")
			}
			if got := s.tracker.Status(key).Sentence; got != tc.want {
				t.Errorf("sentence\n got %q\nwant %q", got, tc.want)
			}
		})
	}
}

// Members that are done count for the quorum, for any order and content of the running-pod
// informer's events. A new member does not join them.
func TestFinishedMembersStayInTheQuorum(t *testing.T) {
	s := newSimulation(t, 0)
	key := s.groups.declare("a", 3)
	first, second, third := placedOn(member("a", "p"), "n"), placedOn(member("a", "q"), "n"), placedOn(member("a", "r"), "n")
	for _, pod := range []*v1.Pod{first, second, third} {
		s.tracker.Upsert(pod, s.now)
	}
	for i, pod := range []*v1.Pod{first, second} {
		over := pod.DeepCopy()
		over.Status.Phase = v1.PodSucceeded
		if i == 0 { // the event of its end comes first or last
			s.tracker.Upsert(over, s.now)
			s.tracker.Remove(pod, s.now)
			s.tracker.Upsert(pod, s.now)
		} else {
			s.tracker.Remove(pod, s.now)
			s.tracker.Upsert(over, s.now)
		}
	}
	s.tracker.Remove(third, s.now) // it failed
	again := member("a", "s")
	s.store[again.UID] = again
	if !s.tracker.Admit(key, again) {
		t.Errorf("the replacement waits: %s", s.tracker.Status(key).Sentence)
	}
	s.tracker.Upsert(again, s.now)
	request, refusal := s.tracker.request(s.tracker.gangs[key], s.now)
	if refusal != "" || len(request.Placed) != 0 || len(request.Members) != 1 {
		t.Errorf("planned are %d members beside %d that run (%s), want one alone", len(request.Members), len(request.Placed), refusal)
	}
	s.tracker.Erase(first, s.now)
	if s.tracker.Admit(key, again); s.tracker.gangs[key].schedulable(gangs.Readiness{Waiting: "x"}) {
		t.Error("nothing runs, and members may come one by one")
	}
}

// The queue time of a gang is the creation time of its oldest pod, for any order of events.
// It is fixed once a member may be in the queue.
func TestOrderIsTheOldestPods(t *testing.T) {
	s := newSimulation(t, 0)
	key := s.groups.declare("a", 2)
	aged := func(name string, seconds int) *v1.Pod {
		pod := member("a", name)
		pod.CreationTimestamp = metav1.NewTime(epoch.Add(time.Duration(seconds) * time.Second))
		s.store[pod.UID] = pod
		return pod
	}
	for _, step := range []struct {
		pod  *v1.Pod
		want int
	}{{aged("young", 9), 9}, {aged("old", 5), 5}, {aged("oldest", 1), 5}} {
		s.tracker.Upsert(step.pod, s.now)
		s.tracker.Admit(key, step.pod)
		if at, _ := s.tracker.Order(key); !at.Equal(epoch.Add(time.Duration(step.want) * time.Second)) {
			t.Errorf("after %s the gang stands at %v, want second %d", step.pod.Name, at, step.want)
		}
	}
}

// A gang that was placed before this scheduler started takes a member back, though its
// quorum is not met. The informer may list the pods in any order.
func TestMemberComesBackAfterARestart(t *testing.T) {
	s := newSimulation(t, 0)
	key := s.groups.declare("a", 4)
	back, runs := member("a", "back"), placedOn(member("a", "runs"), "n")
	for _, pod := range []*v1.Pod{back, runs} {
		s.store[pod.UID] = pod
	}
	s.tracker.Upsert(back, s.now)
	if s.tracker.Admit(key, back) {
		t.Fatal("a member of a gang that does not exist yet may enter the queue")
	}
	n := s.tracker.Upsert(runs, s.now)
	if len(n.Activate) != 1 || n.Activate[0].Name != "back" {
		t.Errorf("woken are %v, not the member that comes back", n.Activate)
	}
	if !s.tracker.Admit(key, back) {
		t.Error("the member that comes back is kept out of the queue")
	}
}

// The tracker leaves gangs of other schedulers' pods alone.
func TestGangsOfOtherSchedulersAreLeftAlone(t *testing.T) {
	s := newSimulation(t, 0)
	s.groups.declare("a", 2)
	pods := []*v1.Pod{placedOn(member("a", "p"), "n"), member("a", "q"), member("a", "r")}
	for _, pod := range pods {
		pod.Spec.SchedulerName = "default-scheduler"
		if n := s.tracker.Upsert(pod, s.now); len(n.Activate) > 0 {
			t.Errorf("pod %s wakes %v", pod.Name, n.Activate)
		}
	}
	s.tracker.Remove(pods[0], s.now)
	s.tracker.Upsert(placedOn(pods[1], "n"), s.now)
	if keys := s.tracker.PartialGangs(s.now); len(keys) > 0 {
		t.Errorf("%v are to be completed at start", keys)
	}
}

// An update without relevant changes must not read the pod's role again.
func TestRefreshKeepsWhatIsKnown(t *testing.T) {
	s := newSimulation(t, 0)
	key := s.groups.declare("a", 1)
	pod := member("a", "p")
	s.tracker.Upsert(pod, s.now)
	tests := map[string]struct {
		change func(*v1.Pod)
		want   bool
	}{
		"its condition": {func(p *v1.Pod) { p.Status.Conditions = []v1.PodCondition{{Message: "no"}} }, true},
		"its phase":     {func(p *v1.Pod) { p.Status.Phase = v1.PodRunning }, true},
		"its failure":   {func(p *v1.Pod) { p.Status.Phase = v1.PodFailed }, false},
		"its end":       {func(p *v1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: epoch} }, false},
		"its node":      {func(p *v1.Pod) { p.Spec.NodeName = "n" }, false},
		"its label":     {func(p *v1.Pod) { p.Labels["x"] = "y" }, false},
		"its wish":      {func(p *v1.Pod) { p.Annotations = map[string]string{gangs.RequiredAnnotation: "leaf"} }, false},
		"its spec":      {func(p *v1.Pod) { p.Generation, p.Spec.Tolerations = 2, []v1.Toleration{{Key: "x"}} }, false},
		"its claims":    {func(p *v1.Pod) { p.Status.ResourceClaimStatuses = []v1.PodResourceClaimStatus{{Name: "x"}} }, false},
	}
	for name, tc := range tests {
		changed := pod.DeepCopy()
		tc.change(changed)
		if got := s.tracker.refresh(key, changed); got != tc.want {
			t.Errorf("%s: refreshed %v, want %v", name, got, tc.want)
		}
		s.tracker.refresh(key, pod)
	}
}

// PreEnqueue receives a pod before the tracker does, and cannot activate other members
// under the queue's lock. Another plugin may then keep the pod itself out, so the other
// members must not depend on its cycle.
func TestQuorumThatAdmitFoundActivatesTheOthers(t *testing.T) {
	s := newSimulation(t, 0)
	key := s.groups.declare("a", 2)
	first, second := member("a", "first"), member("a", "second")
	s.store[first.UID], s.store[second.UID] = first, second
	s.tracker.Upsert(first, s.now)
	if s.tracker.Admit(key, first) {
		t.Fatal("one of two may enter the queue")
	}
	if !s.tracker.Admit(key, second) {
		t.Fatal("the second of two is kept out of the queue")
	}
	if n := s.tracker.Upsert(second, s.now); len(n.Activate) != 2 {
		t.Errorf("%d members are woken, want both", len(n.Activate))
	}
	if n := s.tracker.Upsert(second, s.now); len(n.Activate) != 0 {
		t.Errorf("%d members are woken a second time", len(n.Activate))
	}
}

// A change of the declaration while members reserve makes the plan outdated.
func TestDeclarationChangesWhileReserving(t *testing.T) {
	s := newSimulation(t, 0)
	s.tracker.options.MaxReplans = 0
	key := s.groups.declare("a", 1)
	s.tracker.Upsert(member("a", "p"), s.now)
	s.room = 1
	s.plan(key)
	attempt := s.tracker.attemptOf(key)
	s.groups.declare("a", 2)
	effects := s.tracker.DeclarationChanged(key, s.now)
	if effects.Release != attempt || attempt == nil {
		t.Error("the plan for a smaller gang goes on")
	}
	if len(effects.Activate) > 0 {
		t.Errorf("activated are %v of a gang without its quorum", effects.Activate)
	}
	s.tracker.Released(attempt, s.now)
	if refusal := s.tracker.gangs[key].refusal; refusal.answers("uid", s.now) {
		t.Errorf("a change of the declaration counts as a failed plan: %q", refusal.message)
	}
}
