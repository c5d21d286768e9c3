// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const (
	healAfter = 10 * time.Second
	maxBypass = 20 * time.Second
)

// podOf returns a pod that names a PodGroup of scheduling.k8s.io, with a controller.
func podOf(group, name, node string) *v1.Pod {
	pod := member("", name)
	delete(pod.Labels, gangs.CoschedulingLabel)
	pod.Spec.SchedulingGroup, pod.Spec.NodeName = &v1.PodSchedulingGroup{PodGroupName: &group}, node
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: "job", UID: "job", Controller: new(true)}}
	return pod
}

// podGroupRequest returns the request that a cycle of a PodGroup created at that minute
// reads.
func podGroupRequest(name string, least int32, minute int, pods ...*v1.Pod) gangs.Request {
	group := &schedulingv1beta1.PodGroup{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ml", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(epoch.Add(time.Duration(minute) * time.Minute)),
	}}
	group.Spec.SchedulingPolicy.Gang = &schedulingv1beta1.GangSchedulingPolicy{MinCount: least}
	request := gangs.Request{Placed: map[types.UID]string{}}
	for _, pod := range pods {
		request.Members = append(request.Members, gangs.PodGroupMember(pod))
		if node := pod.Spec.NodeName; node != "" {
			request.Placed[pod.UID] = node
		}
	}
	request.Gang = gangs.PodGroupGang(group, request.Members)
	return request
}

func podNames(pods []*v1.Pod) []string {
	var all []string
	for _, pod := range pods {
		all = append(all, pod.Name)
	}
	return all
}

// podGroupTracker returns the tracker of a scheduler with the PodGroup cycle.
func podGroupTracker(t *testing.T) *Tracker {
	options := newSimulation(t, 0).tracker.options
	options.Sources = append(gangs.Sources{gangs.NewPodGroupCycleSource()}, options.Sources...)
	options.Exists = func(*v1.Pod) bool { return true }
	options.HealAfter, options.MaxBypass = healAfter, maxBypass
	return New(options)
}

// refusePodGroup refuses a gang without room.
func refusePodGroup(tr *Tracker, request gangs.Request, done []gangs.Member, now time.Time) *Question {
	return tr.RefusePodGroup(request, done, &Answer{Refusal: "no room", Searched: true}, now)
}

// A group that lost a member is planned again after healAfter. It is closed during the
// eviction of its members, and activated when the last of them is gone.
func TestPodGroupIsEvictedAfterALoss(t *testing.T) {
	tr := podGroupTracker(t)
	left, late := podOf("a", "left", "n1"), podOf("a", "late", "")
	request := podGroupRequest("a", 2, 0, left, late)
	if lost := refusePodGroup(tr, request, nil, epoch).Lost; lost == nil || lost.Search {
		t.Fatalf("lost is %+v, want a gang that is not due yet", lost)
	}
	if got := tr.Tick(epoch.Add(9 * time.Second)).Activate; len(got) > 0 {
		t.Errorf("%v are activated too early", podNames(got))
	}
	now := epoch.Add(11 * time.Second)
	if diff := cmp.Diff([]string{"late"}, podNames(tr.Tick(now).Activate)); diff != "" {
		t.Errorf("activated after healAfter (-want,+got):\n%s", diff)
	}
	question := refusePodGroup(tr, request, nil, now)
	if lost := question.Lost; lost == nil || !lost.Search || len(lost.Left) != 1 || len(lost.Request.Members) != 2 {
		t.Fatalf("lost is %+v, want a gang that is due, with one member left of two", lost)
	}
	_, sentence, effects := tr.ResolvePodGroup(question, &Answer{Searched: true, FitsElsewhere: true}, now)
	if sentence == "" || len(effects.Evicting) == 0 {
		t.Fatal("the gang is not closed while its members are evicted")
	}
	evict(t, tr, request, left, now)
}

// evict removes the remaining member, which opens the gang for the other.
func evict(t *testing.T, tr *Tracker, request gangs.Request, left *v1.Pod, now time.Time) {
	t.Helper()
	closed := func() bool { return strings.Contains(tr.BeginPodGroupCycle(&request, epoch), "being evicted") }
	if !closed() {
		t.Fatal("a cycle plans the gang while its members are evicted")
	}
	if diff := cmp.Diff([]string{"left"}, podNames(tr.Evictions(now)[request.Gang.Key])); diff != "" {
		t.Errorf("evictions (-want,+got):\n%s", diff)
	}
	leaving := left.DeepCopy()
	leaving.DeletionTimestamp = &metav1.Time{Time: now}
	if effects := tr.Upsert(leaving, now); len(effects.Activate) > 0 || !closed() {
		t.Errorf("a member that is being deleted opens the gang: %v", podNames(effects.Activate))
	}
	if diff := cmp.Diff([]string{"late"}, podNames(tr.Remove(leaving, now).Activate)); diff != "" {
		t.Errorf("activated when all are gone (-want,+got):\n%s", diff)
	}
	if closed() {
		t.Error("the gang stays closed")
	}
}

// A group whose members have succeeded has lost no member.
func TestPodGroupThatEndsHasNoLoss(t *testing.T) {
	tr := podGroupTracker(t)
	ended := podOf("a", "ended", "n1")
	ended.Status.Phase = v1.PodSucceeded
	request := podGroupRequest("a", 2, 0, podOf("a", "left", "n2"), podOf("a", "late", ""))
	question := refusePodGroup(tr, request, []gangs.Member{gangs.PodGroupMember(ended)}, epoch)
	if question.Lost != nil {
		t.Errorf("lost is %+v", question.Lost)
	}
	tr.ResolvePodGroup(question, &Answer{Searched: true}, epoch)
	if len(tr.gangs) != 0 || len(tr.podGroups) != 0 {
		t.Errorf("the tracker keeps %d gangs and %d names", len(tr.gangs), len(tr.podGroups))
	}
}

// Later groups bypass a group without room for maxBypass. Then nodes are reserved for it
// against later groups, but not against earlier groups.
func TestPodGroupIsNotBypassedForEver(t *testing.T) {
	tr := podGroupTracker(t)
	request := podGroupRequest("large", 2, 5, podOf("large", "l0", ""), podOf("large", "l1", ""))
	key := request.Gang.Key
	tr.ResolvePodGroup(refusePodGroup(tr, request, nil, epoch), &Answer{Searched: true}, epoch)
	early, late := podGroupRequest("early", 1, 1, podOf("early", "e0", "")), podGroupRequest("late", 1, 9, podOf("late", "s0", ""))
	tr.PodGroupPlaced(&early, epoch)
	if got := tr.Tick(epoch.Add(time.Hour)).Activate; len(got) > 0 {
		t.Errorf("no gang has bypassed it, and %v are activated", podNames(got))
	}
	tr.PodGroupPlaced(&late, epoch)
	now := epoch.Add(maxBypass)
	if diff := cmp.Diff([]string{"l0"}, podNames(tr.Tick(now).Activate)); diff != "" {
		t.Errorf("activated after maxBypass (-want,+got):\n%s", diff)
	}
	question := refusePodGroup(tr, request, nil, now)
	if !question.Reserve {
		t.Fatal("no nodes may be reserved for it")
	}
	tr.ResolvePodGroup(question, &Answer{Searched: true, Reserve: gangs.Reservation{Nodes: map[string]bool{"n1": true}}}, now)
	if tr.BeginPodGroupCycle(&late, epoch); !late.Reserved["n1"] || late.Holder != key {
		t.Errorf("a later group is kept off %v by %v", late.Reserved, late.Holder)
	}
	if tr.BeginPodGroupCycle(&early, epoch); len(early.Reserved) > 0 {
		t.Errorf("an earlier group is kept off %v", early.Reserved)
	}
	tr.PodGroupPlaced(&request, now)
	if tr.BeginPodGroupCycle(&late, epoch); len(late.Reserved) > 0 || len(tr.gangs) != 0 || len(tr.podGroups) != 0 {
		t.Errorf("it runs, and %v are reserved, %d gangs left", late.Reserved, len(tr.gangs))
	}
}

// A change of the declaration ends a reservation. The tracker keeps no state of a gang
// without members.
func TestPodGroupIsForgotten(t *testing.T) {
	tr := podGroupTracker(t)
	l0, l1 := podOf("large", "l0", ""), podOf("large", "l1", "")
	request := podGroupRequest("large", 2, 5, l0, l1)
	block := func() {
		tr.ResolvePodGroup(refusePodGroup(tr, request, nil, epoch), &Answer{Searched: true}, epoch)
	}
	block()
	if effects := tr.DeclarationChanged(request.Gang.Key, epoch); len(effects.Activate) > 0 || effects.Release != nil {
		t.Errorf("a change activates %v, which the scheduler's queue does", podNames(effects.Activate))
	}
	if g := tr.gangs[request.Gang.Key]; g == nil || g.reservation.blocked || len(g.members) != 2 {
		t.Errorf("after the change it is %+v", g)
	}
	block()
	tr.Remove(l0, epoch)
	tr.Remove(l1, epoch)
	if len(tr.gangs) != 0 || len(tr.podGroups) != 0 {
		t.Errorf("the tracker keeps %d gangs and %d names of a group without members", len(tr.gangs), len(tr.podGroups))
	}
}

// Filters may refuse planned nodes up to MaxReplans times. After that the next cycle
// returns the last refusal without a plan. The cycle after it is planned with what the
// refusals taught, until an event may have made that false.
func TestPodGroupIsPlannedAgainWithoutRefusedNodes(t *testing.T) {
	tr := podGroupTracker(t)
	request := podGroupRequest("a", 2, 0, podOf("a", "p", ""), podOf("a", "q", ""))
	refused := RefusedMember{Role: gangs.RoleSignature{Role: "worker"}, Node: "n1", Held: 1, Sentence: "node n1 refused member p"}
	for i := range tr.options.MaxReplans {
		if !tr.PodGroupFilterRefused(&request, refused, epoch) || !tr.AwaitsCycle(request.Gang.Key) {
			t.Fatalf("after %d refusals the gang is not planned again", i+1)
		}
		next := podGroupRequest("a", 2, 0)
		if refusal := tr.BeginPodGroupCycle(&next, epoch); refusal != "" || next.Limits[gangs.RoleSignature{Role: "worker"}]["n1"] != 1 || tr.AwaitsCycle(request.Gang.Key) {
			t.Fatalf("the next cycle has limits %v and refusal %q", next.Limits, refusal)
		}
	}
	if tr.PodGroupFilterRefused(&request, refused, epoch) {
		t.Error("the gang is planned again and again")
	}
	for _, want := range []string{refused.Sentence, ""} {
		next := podGroupRequest("a", 2, 0)
		refusal := tr.BeginPodGroupCycle(&next, epoch)
		if refusal != want || next.Limits[refused.Role]["n1"] != 1 || len(next.Conflicts) != 1 {
			t.Errorf("the next cycle has limits %v, conflicts %v and refusal %q, want %q", next.Limits, next.Conflicts, refusal, want)
		}
	}
	tr.NoteEvent(gangs.PodGroupKeyOf(request.Members[0].Pod), Event{Node: "n2"}, epoch)
	if len(tr.gangs) != 1 {
		t.Error("an event on another node makes the tracker forget")
	}
	tr.NoteEvent(gangs.PodGroupKeyOf(request.Members[0].Pod), Event{Node: "n1"}, epoch)
	if len(tr.gangs) != 0 {
		t.Errorf("the tracker keeps %d gangs whose failed plans are forgotten", len(tr.gangs))
	}
}

// What a refused plan taught outlives the gang's refusal, until a member or the declaration
// changes.
func TestPodGroupLessonsOutliveARefusal(t *testing.T) {
	p, q := podOf("a", "p", ""), podOf("a", "q", "")
	request := podGroupRequest("a", 2, 0, p, q)
	for name, test := range map[string]struct {
		happens func(*Tracker)
		want    int
	}{
		"nothing": {func(*Tracker) {}, 1},
		"a member's status changes": {func(tr *Tracker) {
			changed := q.DeepCopy()
			changed.Status.Message = "changed"
			tr.Upsert(changed, epoch)
		}, 1},
		"a member changes": {func(tr *Tracker) {
			changed := q.DeepCopy()
			changed.Labels["x"] = "y"
			tr.Upsert(changed, epoch)
		}, 0},
		"a member is bound":       {func(tr *Tracker) { tr.Upsert(podOf("a", "q", "n2"), epoch) }, 1},
		"a member is deleted":     {func(tr *Tracker) { tr.Remove(q, epoch) }, 0},
		"the declaration changes": {func(tr *Tracker) { tr.DeclarationChanged(request.Gang.Key, epoch) }, 0},
		"a cycle places the gang": {func(tr *Tracker) { tr.PodGroupPlaced(&request, epoch) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tr := podGroupTracker(t)
			tr.PodGroupFilterRefused(&request, RefusedMember{Role: worker, Node: "n1"}, epoch)
			tr.ResolvePodGroup(refusePodGroup(tr, request, nil, epoch), &Answer{Searched: true}, epoch)
			test.happens(tr)
			next := podGroupRequest("a", 2, 0, p, q)
			tr.BeginPodGroupCycle(&next, epoch)
			if len(next.Conflicts) != test.want {
				t.Errorf("the next plan has the conflicts %v, want %d", next.Conflicts, test.want)
			}
		})
	}
}

// A change of the declaration ends the refusal that the next cycle was to repeat.
func TestDeclarationEndsRepeatedRefusal(t *testing.T) {
	tr := podGroupTracker(t)
	request := podGroupRequest("a", 1, 0, podOf("a", "p", ""))
	for range tr.options.MaxReplans + 1 {
		tr.PodGroupFilterRefused(&request, RefusedMember{Role: worker, Node: "n1", Sentence: "refused"}, epoch)
	}
	tr.DeclarationChanged(request.Gang.Key, epoch)
	if refusal := tr.BeginPodGroupCycle(&request, epoch); refusal != "" || tr.AwaitsCycle(request.Gang.Key) {
		t.Errorf("the next cycle repeats %q", refusal)
	}
}
