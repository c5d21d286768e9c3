// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// binds returns a simulation in which all members of gang a, whose quorum is all of them,
// are binding.
func binds(t *testing.T, members int, owned bool) (*simulation, gangs.Key, []*v1.Pod) {
	s := newSimulation(t, 0)
	key := s.groups.declare("a", int32(members))
	var pods []*v1.Pod
	for i := range members {
		pod := member("a", fmt.Sprintf("p%d", i))
		if owned {
			pod.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: "job", UID: "job", Controller: new(true)}}
		}
		pods = append(pods, pod)
		s.update(pod)
	}
	s.room = members
	for pod := s.pick(s.is(active)); pod != nil; pod = s.pick(s.is(active)) {
		s.cycle(pod, true)
	}
	for _, pod := range pods {
		if s.at[pod.UID] != binding {
			t.Fatalf("pod %s is not binding", pod.Name)
		}
	}
	return s, key, pods
}

// fail ends the binding of a member with an error.
func (s *simulation) fail(pod *v1.Pod, unknown bool) {
	s.tracker.BindFailed(s.key(pod), pod, "node", "not now", unknown)
	s.unreserve(pod)
}

// held returns how many members have capacity held for them.
func (s *simulation) held() int { return len(s.tracker.Holds(0)) }

// Members whose bindings are refused keep their places while the gang is below its minimum,
// and go back to them in their next cycles.
func TestRestKeepsItsPlaces(t *testing.T) {
	s, key, pods := binds(t, 3, false)
	s.bind(pods[0], true)
	s.fail(pods[1], false)
	s.fail(pods[2], false)
	if n := s.held(); n != 2 {
		t.Errorf("places of %d members are held against other gangs, want 2", n)
	}
	const want = "gang podgroup ml/a: 1 of 3 members are bound, and binding pod p1 to node node failed (not now); " +
		"the places of the others are kept; its one bound member stays, because healAfter is 0"
	status := s.tracker.Status(key)
	if diff := cmp.Diff(want, status.Sentence); diff != "" || len(status.Pods) != 2 {
		t.Errorf("on %d pods is said (-want,+got):\n%s", len(status.Pods), diff)
	}
	if step := s.tracker.NextStep(key, pods[1].UID, pods[1].Name, s.now); step.Node != "node" {
		t.Errorf("the member is not sent to its place: %+v", step)
	}
	s.settle()
	if n := s.held(); n != 0 || s.at[pods[2].UID] != bound {
		t.Errorf("the gang is whole, and %d places are held", n)
	}
	if s.tracker.gangs[key].partial.unfinished() {
		t.Error("the whole gang counts as unfinished")
	}
}

// A gang of which no binding succeeds gives all places back. A gang whose quorum is bound
// keeps no place for a further member.
func TestPlacesThatAreNotKept(t *testing.T) {
	s, key, pods := binds(t, 2, false)
	s.fail(pods[0], false)
	s.fail(pods[1], false)
	if n := s.held(); n != 0 || s.tracker.attemptOf(key) != nil {
		t.Errorf("nothing of the gang is bound, and %d places are held", n)
	}
	s, _, pods = binds(t, 3, false)
	s.groups.declare("a", 2)
	s.bind(pods[0], true)
	s.bind(pods[1], true)
	s.fail(pods[2], false)
	if n := s.held(); n != 0 {
		t.Errorf("the quorum is bound, and %d places are held for others", n)
	}
}

// The remaining members are planned before any other gang when they lost their places.
func TestRestIsPlannedFirst(t *testing.T) {
	s, key, pods := binds(t, 2, false)
	other := gangs.CoschedulingKey("ml", "b")
	s.bind(pods[0], true)
	s.fail(pods[1], false)
	if keys := s.tracker.Unfinished(other, s.now); len(keys) > 0 {
		t.Errorf("%v are planned again, though their members have places", keys)
	}
	s.tracker.FilterRefused(key, pods[1], "node", "the node is full", s.now)
	if diff := cmp.Diff([]gangs.Key{key}, s.tracker.Unfinished(other, s.now)); diff != "" {
		t.Errorf("planned first (-want,+got):\n%s", diff)
	}
	if keys := s.tracker.Unfinished(key, s.now); len(keys) > 0 {
		t.Errorf("%v are planned before themselves", keys)
	}
	s.room = 0
	s.plan(key)
	if keys := s.tracker.Unfinished(other, s.now); len(keys) > 0 {
		t.Errorf("%v are planned again though nothing happened since they were refused", keys)
	}
	s.tracker.RetryWhere(func(*v1.Pod) bool { return true }, s.now)
	if diff := cmp.Diff([]gangs.Key{key}, s.tracker.Unfinished(other, s.now)); diff != "" {
		t.Errorf("planned first after an event (-want,+got):\n%s", diff)
	}
}

// After healAfter the bound members are evicted, if a controller replaces them.
func TestRestThatIsNotBoundIsGivenBack(t *testing.T) {
	for _, owned := range []bool{true, false} {
		t.Run(fmt.Sprintf("owned=%v", owned), func(t *testing.T) {
			s, key, pods := binds(t, 3, owned)
			s.tracker.options.HealAfter = time.Minute
			s.bind(pods[0], true)
			s.fail(pods[1], false)
			s.now = s.now.Add(time.Minute - time.Second)
			s.fail(pods[2], false)
			if effects := s.tracker.Tick(s.now); len(effects.Evicting) > 0 {
				t.Fatal("members are evicted before healAfter has passed")
			}
			s.now = s.now.Add(time.Second)
			effects := s.tracker.Tick(s.now)
			sentence := s.tracker.Status(key).Sentence
			if !owned {
				const want = "gang podgroup ml/a: 1 of 3 members are bound, and binding pod p1 to node node failed (not now); " +
					"the places of the others are kept; its one bound member stays, because no controller would replace pod p0"
				if diff := cmp.Diff(want, sentence); diff != "" || len(effects.Evicting) > 0 || s.held() != 2 {
					t.Errorf("evicting %v, %d places held, sentence (-want,+got):\n%s", effects.Evicting, s.held(), diff)
				}
				return
			}
			const want = "gang podgroup ml/a could not bind all its members within healAfter (1m0s): the one that is bound is being evicted, " +
				"so that it is placed whole; binding pod p1 to node node failed (not now)"
			if diff := cmp.Diff(want, sentence); diff != "" || len(effects.Evicting) != 1 || s.held() != 0 {
				t.Errorf("evicting %v, %d places held, sentence (-want,+got):\n%s", effects.Evicting, s.held(), diff)
			}
			if evicted := s.tracker.Evictions(s.now)[key]; len(evicted) != 1 || evicted[0].UID != pods[0].UID {
				t.Errorf("evicted are %v, want p0", podNames(evicted))
			}
		})
	}
}

// A member whose binding ended without an answer keeps its place, also in a gang that runs,
// and is not tried again until it is known not to be bound.
func TestLostAnswers(t *testing.T) {
	for _, isBound := range []bool{true, false} {
		t.Run(fmt.Sprintf("bound=%v", isBound), func(t *testing.T) {
			s, key, pods := binds(t, 2, false)
			s.groups.declare("a", 1)
			s.bind(pods[0], true)
			s.fail(pods[1], true)
			if n := s.held(); n != 1 {
				t.Fatalf("%d places are held, want that of the member that perhaps is bound", n)
			}
			if step := s.tracker.NextStep(key, pods[1].UID, pods[1].Name, s.now); step.Node != "" || step.Plan != nil {
				t.Errorf("the member is tried again: %+v", step)
			}
			if unknown := s.tracker.UnknownBindings()[key]; len(unknown) != 1 {
				t.Errorf("to be read are %v", podNames(unknown))
			}
			var effects Effects
			if isBound {
				s.tracker.Upsert(placedOn(pods[1], "node"), s.now)
			} else if effects = s.tracker.NotBound(key, pods[1], s.now); len(effects.Activate) != 1 {
				t.Errorf("activated are %v, want the member that is not bound", podNames(effects.Activate))
			}
			if n := s.held(); n != 0 || len(s.tracker.UnknownBindings()) > 0 {
				t.Errorf("%d places are held of a member that is known", n)
			}
		})
	}
}

// The place of a member that perhaps is bound outlives a failed attempt.
func TestLostAnswerOutlivesAnAttempt(t *testing.T) {
	s, key, pods := binds(t, 2, false)
	s.groups.declare("a", 1)
	s.bind(pods[0], true)
	s.fail(pods[1], true)
	s.tracker.Upsert(member("a", "late"), s.now)
	attempt := s.attempt(key, map[types.UID]string{"uid-late": "node"}, map[types.UID]string{"uid-late": "worker"}, 1)
	s.begin(attempt)
	attempt.fail("because")
	s.tracker.Released(attempt, s.now)
	if n := s.held(); n != 1 {
		t.Errorf("%d places are held, want that of the member that perhaps is bound", n)
	}
}

// A planned member without a cycle ends the attempt. Its gang waits for it with a sentence
// until it has a cycle.
func TestMemberWithoutACycle(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	s.room = 2
	s.plan(key)
	s.tracker.NextStep(key, p.UID, p.Name, s.now)
	s.tracker.Reserve(key, p.UID, "node")
	s.tracker.EndStalled(s.now)
	s.now = s.now.Add(time.Hour) // the scheduler was paused
	if ended := s.tracker.EndStalled(s.now); len(ended) > 0 {
		t.Fatal("a pause of the scheduler ends the attempt")
	}
	var ended []Effects
	for range stallLimit / time.Second {
		s.now = s.now.Add(time.Second)
		ended = append(ended, s.tracker.EndStalled(s.now)...)
	}
	if len(ended) != 1 || ended[0].Release == nil {
		t.Fatalf("ended are %+v, want the attempt", ended)
	}
	s.tracker.Unreserve(key, p, "node", s.now)
	s.tracker.Released(ended[0].Release, s.now)
	const want = "waiting for 1 of 2 members of podgroup ml/a: pod q has had no scheduling cycle for 10s; " +
		"a PreEnqueue plugin of the scheduler may keep it out of the queue"
	if diff := cmp.Diff(want, s.tracker.Status(key).Sentence); diff != "" {
		t.Errorf("sentence (-want,+got):\n%s", diff)
	}
	if s.tracker.Admit(key, p) || !s.tracker.Admit(key, q) {
		t.Error("only the member without a cycle may enter the queue")
	}
	if activated := s.tracker.Tick(s.now.Add(silentPause)).Activate; len(activated) != 1 || activated[0].UID != q.UID {
		t.Errorf("activated are %v, want the member without a cycle", podNames(activated))
	}
	if step := s.tracker.NextStep(key, q.UID, q.Name, s.now); step.Plan == nil {
		t.Errorf("the gang is not planned in the first cycle of the member: %s", step.Refusal)
	}
}

// A member without its claim is not ready, and is not chosen to have its gang planned.
func TestMemberWithoutItsClaim(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	s.groups.declare("a", 1)
	s.tracker.DeclarationChanged(key, s.now)
	s.refuse(key, "no room", "")
	s.claimless[p.UID] = true
	if retries, _ := s.tracker.AllowRetry(key, p, s.now.Add(time.Minute)); !retries {
		t.Error("before the tracker knows of the claim, the member is chosen")
	}
	activated := s.tracker.LacksChanged(p, s.now.Add(time.Minute)).Activate
	if len(activated) != 1 || activated[0].UID != q.UID {
		t.Errorf("activated are %v, want the other member", podNames(activated))
	}
	s.refuse(key, "no room", "")
	if retries, _ := s.tracker.AllowRetry(key, p, s.now.Add(time.Hour)); retries {
		t.Error("a member without its claim is chosen")
	}
	s.groups.declare("a", 2)
	s.tracker.DeclarationChanged(key, s.now)
	const want = "waiting for 1 of 2 members of podgroup ml/a: pod p needs ResourceClaim c, which does not exist"
	if diff := cmp.Diff(want, s.tracker.Status(key).Sentence); diff != "" {
		t.Errorf("sentence (-want,+got):\n%s", diff)
	}
}

// If the chosen member has no cycle in time, another is chosen.
func TestAnotherMemberAsks(t *testing.T) {
	s := newSimulation(t, 0)
	key, p, q := s.pair("p", "q")
	s.refuse(key, "no room", "")
	s.tracker.Admit(key, p)
	at := s.now.Add(time.Minute)
	if retries, _ := s.tracker.AllowRetry(key, p, at); !retries {
		t.Fatal("the gang is not planned again")
	}
	if activated := s.tracker.Tick(at.Add(retryMemberLife - 1)).Activate; len(activated) > 0 {
		t.Errorf("activated are %v before the time is over", podNames(activated))
	}
	for i, want := range []*v1.Pod{q, p} {
		activated := s.tracker.Tick(at.Add(time.Duration(i+1) * retryMemberLife)).Activate
		if len(activated) != 1 || activated[0].UID != want.UID {
			t.Errorf("activated are %v, want %s", podNames(activated), want.Name)
		}
	}
}

// The place of a member of a PodGroup whose binding failed is held until the group's next
// cycle, as long as the group is below its minimum, and after a refusal as well.
func TestPodGroupBindFailed(t *testing.T) {
	first, second := podOf("a", "first", ""), podOf("a", "second", "")
	request := podGroupRequest("a", 2, 0, first, second)
	failed := FailedBinding{Pod: second, Node: "n2", Cause: "not now"}
	now := func(firstNode, secondNode string) []gangs.Member {
		return podGroupRequest("a", 2, 0, podOf("a", "first", firstNode), podOf("a", "second", secondNode)).Members
	}
	t.Run("below its minimum", func(t *testing.T) {
		tr := podGroupTracker(t)
		tr.PodGroupBindFailed(&request, now("n1", ""), gangs.Assignment{}, failed, epoch)
		if diff := cmp.Diff([]gangs.Hold{{Node: "n2"}}, tr.Holds(0)); diff != "" {
			t.Errorf("held (-want,+got):\n%s", diff)
		}
		const want = "gang schedulinggroup ml/a: 1 of 2 members are bound, and binding pod second to node n2 failed (not now); " +
			"the places of the others are kept; if the others are not bound within healAfter (10s), its one bound member is evicted"
		if diff := cmp.Diff(want, tr.Status(request.Gang.Key).Sentence); diff != "" {
			t.Errorf("sentence (-want,+got):\n%s", diff)
		}
		refusePodGroup(tr, podGroupRequest("a", 2, 0, podOf("a", "first", "n1"), second), nil, epoch)
		if n := len(tr.Holds(0)); n != 1 {
			t.Errorf("%d places are held after a refusal, want 1", n)
		}
		if effects := tr.Tick(epoch.Add(healAfter)); len(effects.Evicting) != 1 || len(tr.Holds(0)) > 0 {
			t.Errorf("evicting %v, and %d places are held", effects.Evicting, len(tr.Holds(0)))
		}
	})
	t.Run("bound after all", func(t *testing.T) {
		tr := podGroupTracker(t)
		tr.PodGroupBindFailed(&request, now("n1", ""), gangs.Assignment{}, failed, epoch)
		tr.Upsert(podOf("a", "second", "n2"), epoch)
		if n := len(tr.Holds(0)); n > 0 {
			t.Errorf("%d places are held of a group that is bound", n)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		tr := podGroupTracker(t)
		tr.PodGroupBindFailed(&request, now("n1", ""), gangs.Assignment{}, failed, epoch)
		tr.Remove(second, epoch)
		if n := len(tr.Holds(0)); n > 0 || !tr.Tick(epoch).ActivatePodGroups {
			t.Errorf("%d places are held of a member that is deleted, or other groups do not learn of it", n)
		}
	})
	t.Run("a cycle without some members", func(t *testing.T) {
		tr := podGroupTracker(t)
		third := FailedBinding{Pod: podOf("a", "third", ""), Node: "n3", Cause: "not now"}
		all := podGroupRequest("a", 3, 0, first, second, third.Pod)
		members := podGroupRequest("a", 3, 0, podOf("a", "first", "n1"), second, third.Pod).Members
		tr.PodGroupBindFailed(&all, members, gangs.Assignment{}, failed, epoch)
		tr.PodGroupBindFailed(&all, members, gangs.Assignment{}, third, epoch)
		part := podGroupRequest("a", 3, 0, podOf("a", "first", "n1"), second)
		tr.BeginPodGroupCycle(&part, epoch)
		want := []gangs.Hold{{Node: "n3"}}
		if diff := cmp.Diff(want, part.Holds); diff != "" {
			t.Errorf("held against the plan for the second member (-want,+got):\n%s", diff)
		}
		tr.PodGroupPlaced(&part, epoch)
		if diff := cmp.Diff(want, tr.Holds(0)); diff != "" {
			t.Errorf("held once the second member is placed (-want,+got):\n%s", diff)
		}
	})
	t.Run("quorum bound", func(t *testing.T) {
		tr := podGroupTracker(t)
		third := failed
		third.Pod = podOf("a", "third", "")
		members := append(now("n1", "n2"), gangs.PodGroupMember(third.Pod))
		tr.PodGroupBindFailed(&request, members, gangs.Assignment{}, third, epoch)
		if n := len(tr.Holds(0)); n > 0 {
			t.Errorf("%d places are held for members beyond the quorum", n)
		}
		third.Unknown = true
		tr.PodGroupBindFailed(&request, members, gangs.Assignment{}, third, epoch)
		if n := len(tr.Holds(0)); n != 1 {
			t.Errorf("%d places are held, want that of the member that perhaps is bound", n)
		}
	})
}
