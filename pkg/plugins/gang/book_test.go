// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Long random histories of two gangs, each step of which is held against the
// oracles in world, and each end against those in this test.
func TestBookOverRandomHistories(t *testing.T) {
	for seed := range uint64(500) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.groups.declare("a", int32(1+w.rnd.IntN(5)))
			w.groups.declare("b", int32(1+w.rnd.IntN(5)))
			w.room = w.rnd.IntN(12)
			for range 300 {
				w.step()
			}
			w.atRest()
			w.allPlacedWhenThereIsRoom()
			w.nothingIsKept()
		})
	}
}

// step makes one thing happen, if there is a pod that it can happen to.
func (w *world) step() {
	anywhere := func(*v1.Pod) bool { return true }
	held := func(p *v1.Pod) bool { return len(p.Spec.SchedulingGates) > 0 }
	luck := w.rnd.IntN(8) > 0
	switch n := w.rnd.IntN(100); {
	case n < 26:
		w.outside(n)
	case n < 32:
		w.to(held, func(pod *v1.Pod) { w.change(pod, func(p *v1.Pod) { p.Spec.SchedulingGates = nil }) })
	case n < 38:
		w.to(anywhere, w.remove)
	case n < 40:
		w.to(w.is(idle), func(pod *v1.Pod) {
			w.change(pod, func(p *v1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: epoch} })
		})
	case n < 42:
		w.to(w.is(bound), w.succeed)
	case n < 44:
		w.to(anywhere, func(pod *v1.Pod) { w.change(pod, func(p *v1.Pod) { p.Status.PodIP += "1" }) })
	case n < 58:
		w.drain()
	case n < 72:
		w.to(w.is(binding), func(pod *v1.Pod) { w.bind(pod, luck) })
	default:
		w.to(w.is(active), func(pod *v1.Pod) { w.cycle(pod, luck) })
	}
}

func (w *world) to(where func(*v1.Pod) bool, do func(*v1.Pod)) {
	if pod := w.pick(where); pod != nil {
		do(pod)
	}
}

// outside makes something happen that is not of a pod's life.
func (w *world) outside(n int) {
	gang := string(rune('a' + w.rnd.IntN(2)))
	switch {
	case n < 16:
		w.create(gang)
	case n < 18:
		w.heed(w.book.changed(w.groups.declare(gang, int32(1+w.rnd.IntN(5)))))
	case n < 23:
		w.room += w.rnd.IntN(3)
		w.event()
	default:
		w.pass(time.Duration(w.rnd.IntN(10)) * time.Second)
	}
}

// atRest lets all end that is under way: nobody holds a place without being
// bound, except for members that a planned one still is to join.
func (w *world) atRest() {
	w.settle()
	if pod := w.pick(w.is(waiting)); pod != nil {
		w.t.Errorf("pod %s waits in Permit, and no cycle is to come", pod.Name)
	}
	for key, rec := range w.book.records {
		if att := rec.attempt; att != nil && (att.phase != open || len(att.reserved) > 0) {
			w.t.Errorf("%s has an attempt in phase %d with %d reserved, at rest", key, att.phase, len(att.reserved))
		}
	}
}

// allPlacedWhenThereIsRoom is liveness: one event, and every gang whose quorum
// is ready is placed whole, once it has backed off.
func (w *world) allPlacedWhenThereIsRoom() {
	w.room = 1000
	w.event()
	w.settle()
	w.pass(maxBackoff)
	w.settle()
	for _, rec := range w.book.records {
		g, v, err := w.book.look(rec)
		if err != nil || !rec.admits(v) {
			continue
		}
		for _, pod := range rec.pending() {
			if gangs.Ready(pod) {
				w.t.Errorf("pod %s of a gang of %d (%+v) is not placed, and nobody wakes it", pod.Name, g.Min, v)
			}
		}
	}
}

// nothingIsKept deletes every pod, and looks for what is left.
func (w *world) nothingIsKept() {
	for len(w.store) > 0 {
		w.remove(w.pick(func(*v1.Pod) bool { return true }))
	}
	w.settle()
	if n := len(w.book.records); n > 0 {
		w.t.Errorf("%d records outlive their members", n)
	}
}

// The sentence on a gang, by what there is of it.
func TestStanding(t *testing.T) {
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
		"all are placed":    {min: 2, pods: []*v1.Pod{on1(member("a", "p"), "n")}},
		"another scheduler": {min: 2, pods: []*v1.Pod{foreign(member("a", "p"))}},
		"a broken minimum":  {min: -1, pods: []*v1.Pod{member("a", "p")}, want: "spec.minMember of podgroup ml/a is -1, but must be at least 1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			key := gangs.CoschedulingKey("ml", "a")
			if tc.min != 0 {
				w.groups.declare("a", tc.min)
			}
			for _, pod := range tc.pods {
				w.book.upsert(pod)
			}
			if tc.no != "" {
				w.book.refuse(key, tc.no, "", w.now)
			}
			if got := w.book.standing(key).sentence; got != tc.want {
				t.Errorf("sentence\n got %q\nwant %q", got, tc.want)
			}
		})
	}
}

// Members that are done count for the quorum, whatever the informer of running
// pods says of them and when; they are not what a newcomer joins.
func TestFinishedMembersStayInTheQuorum(t *testing.T) {
	w := newWorld(t, 0)
	key := w.groups.declare("a", 3)
	first, second, third := on1(member("a", "p"), "n"), on1(member("a", "q"), "n"), on1(member("a", "r"), "n")
	for _, pod := range []*v1.Pod{first, second, third} {
		w.book.upsert(pod)
	}
	for i, pod := range []*v1.Pod{first, second} {
		over := pod.DeepCopy()
		over.Status.Phase = v1.PodSucceeded
		if i == 0 { // the news of its end comes first, or last
			w.book.upsert(over)
			w.book.remove(pod)
			w.book.upsert(pod)
		} else {
			w.book.remove(pod)
			w.book.upsert(over)
		}
	}
	w.book.remove(third) // it failed
	again := member("a", "s")
	w.store[again.UID] = again
	if !w.book.gate(key, again) {
		t.Errorf("the replacement waits: %s", w.book.standing(key).sentence)
	}
	w.book.upsert(again)
	req, refusal := w.book.request(key)
	if refusal != "" || len(req.placed) != 0 || len(req.members) != 1 {
		t.Errorf("planned are %d members beside %d that run (%s), want one alone", len(req.members), len(req.placed), refusal)
	}
	w.book.erase(first)
	if w.book.gate(key, again); w.book.records[key].admits(gangs.Readiness{Waiting: "x"}) {
		t.Error("nothing runs, and members may come one by one")
	}
}

// The time by which a gang stands in the queue is its oldest pod's, in whatever
// order pods are seen, and stays once a member may stand in the queue.
func TestOrderIsTheOldestPods(t *testing.T) {
	w := newWorld(t, 0)
	key := w.groups.declare("a", 2)
	aged := func(name string, seconds int) *v1.Pod {
		pod := member("a", name)
		pod.CreationTimestamp = metav1.NewTime(epoch.Add(time.Duration(seconds) * time.Second))
		w.store[pod.UID] = pod
		return pod
	}
	for _, step := range []struct {
		pod  *v1.Pod
		want int
	}{{aged("young", 9), 9}, {aged("old", 5), 5}, {aged("oldest", 1), 5}} {
		w.book.upsert(step.pod)
		w.book.gate(key, step.pod)
		if at, _ := w.book.orderOf(key); !at.Equal(epoch.Add(time.Duration(step.want) * time.Second)) {
			t.Errorf("after %s the gang stands at %v, want second %d", step.pod.Name, at, step.want)
		}
	}
}

// A gang that was placed before this scheduler started takes a member back,
// though its quorum is not met; the informer may name the pods in any order.
func TestMemberComesBackAfterARestart(t *testing.T) {
	w := newWorld(t, 0)
	key := w.groups.declare("a", 4)
	back, runs := member("a", "back"), on1(member("a", "runs"), "n")
	for _, pod := range []*v1.Pod{back, runs} {
		w.store[pod.UID] = pod
	}
	w.book.upsert(back)
	if w.book.gate(key, back) {
		t.Fatal("a member of a gang that does not exist yet may enter the queue")
	}
	n := w.book.upsert(runs)
	if len(n.wake) != 1 || n.wake[0].Name != "back" {
		t.Errorf("woken are %v, not the member that comes back", n.wake)
	}
	if !w.book.gate(key, back) {
		t.Error("the member that comes back is kept out of the queue")
	}
}

// Gangs of pods that another scheduler places are nobody's business here.
func TestGangsOfOtherSchedulersAreLeftAlone(t *testing.T) {
	w := newWorld(t, 0)
	w.groups.declare("a", 2)
	pods := []*v1.Pod{on1(member("a", "p"), "n"), member("a", "q"), member("a", "r")}
	for _, pod := range pods {
		pod.Spec.SchedulerName = "default-scheduler"
		if n := w.book.upsert(pod); len(n.wake) > 0 {
			t.Errorf("pod %s wakes %v", pod.Name, n.wake)
		}
	}
	w.book.remove(pods[0])
	w.book.upsert(on1(pods[1], "n"))
	if keys := w.book.halfBound(); len(keys) > 0 {
		t.Errorf("%v are to be completed at start", keys)
	}
}

// An update that says nothing new must not cost a reading of the pod's role.
func TestRefreshKeepsWhatIsKnown(t *testing.T) {
	w := newWorld(t, 0)
	key := w.groups.declare("a", 1)
	pod := member("a", "p")
	w.book.upsert(pod)
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
		if got := w.book.refresh(key, changed); got != tc.want {
			t.Errorf("%s: refreshed %v, want %v", name, got, tc.want)
		}
		w.book.refresh(key, pod)
	}
}

// PreEnqueue sees a pod before the book does, and cannot wake the others under
// the queue's lock. The pod itself may then be held back by another plugin, so
// the others must not depend on its cycle.
func TestQuorumThatPreEnqueueFoundWakesTheOthers(t *testing.T) {
	w := newWorld(t, 0)
	key := w.groups.declare("a", 2)
	first, second := member("a", "first"), member("a", "second")
	w.store[first.UID], w.store[second.UID] = first, second
	w.book.upsert(first)
	if w.book.gate(key, first) {
		t.Fatal("one of two may enter the queue")
	}
	if !w.book.gate(key, second) {
		t.Fatal("the second of two is kept out of the queue")
	}
	if n := w.book.upsert(second); len(n.wake) != 2 {
		t.Errorf("%d members are woken, want both", len(n.wake))
	}
	if n := w.book.upsert(second); len(n.wake) != 0 {
		t.Errorf("%d members are woken a second time", len(n.wake))
	}
}

// A declaration that changes while members gather makes another gang of them.
func TestDeclarationChangesWhileGathering(t *testing.T) {
	w := newWorld(t, 0)
	key := w.groups.declare("a", 1)
	w.book.upsert(member("a", "p"))
	w.room = 1
	w.plan(key, "")
	_, att := w.book.planned(key, "uid-p")
	w.groups.declare("a", 2)
	n := w.book.changed(key)
	if n.ended != att || att == nil {
		t.Error("the plan for a smaller gang goes on")
	}
	if len(n.wake) > 0 {
		t.Errorf("woken are %v of a gang that is not whole", n.wake)
	}
	w.book.fail(att, "its declaration changed")
	w.book.clear(att, 0, w.now)
	if message, refused := w.book.refusal(key, "uid", w.now); refused {
		t.Errorf("a change of mind counts as a failed plan: %q", message)
	}
}
