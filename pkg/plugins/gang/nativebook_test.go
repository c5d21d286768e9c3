// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

var patient = &config.GangArgs{HealAfter: 10 * time.Second, MaxBypass: 20 * time.Second}

// native returns a pod that names a PodGroup of scheduling.k8s.io.
func native(group, name, node string) *v1.Pod {
	pod := member("", name)
	delete(pod.Labels, gangs.CoschedulingLabel)
	pod.Spec.SchedulingGroup, pod.Spec.NodeName = &v1.PodSchedulingGroup{PodGroupName: &group}, node
	return pod
}

// nativeRequest is what a cycle of a PodGroup made at that minute reads.
func nativeRequest(name string, least int32, minute int, pods ...*v1.Pod) request {
	group := &schedulingv1beta1.PodGroup{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ml", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(epoch.Add(time.Duration(minute) * time.Minute)),
	}}
	group.Spec.SchedulingPolicy.Gang = &schedulingv1beta1.GangSchedulingPolicy{MinCount: least}
	req := request{placed: map[types.UID]string{}}
	var members []gangs.Member
	for _, pod := range pods {
		members = append(members, gangs.PodGroupMember(pod))
	}
	req.gang = gangs.PodGroupGang(group, members)
	req.add(members)
	req.stand = newNative(profile, req)
	return req
}

func podNames(pods []*v1.Pod) []string {
	var all []string
	for _, pod := range pods {
		all = append(all, pod.Name)
	}
	return all
}

// nativeWorld is a book of a scheduler that has the PodGroup cycle.
func nativeWorld(t *testing.T) *book {
	w := newWorld(t, 0)
	return newBook(profile, append(gangs.Sources{gangs.NewPodGroupCycleSource()}, w.book.sources...), func(*v1.Pod) bool { return true })
}

// A group that lost a member is asked again after healAfter, is closed while its
// members are evicted, and is woken when the last of them is gone.
func TestNativeGroupHeals(t *testing.T) {
	b := nativeWorld(t)
	left, late := native("a", "left", "n1"), native("a", "late", "")
	req := nativeRequest("a", 2, 0, left, late)
	key := req.gang.Key
	b.refuseNative(req, nil, "no room", epoch)
	if one := b.broken(key, patient.HealAfter, epoch); one == nil || one.due {
		t.Fatalf("broken is %+v, want a gang that is not due yet", one)
	}
	if got := b.tick(patient, epoch.Add(9*time.Second)); len(got) > 0 {
		t.Errorf("%v are woken too early", podNames(got))
	}
	now := epoch.Add(11 * time.Second)
	if diff := cmp.Diff([]string{"late"}, podNames(b.tick(patient, now))); diff != "" {
		t.Errorf("who is woken after healAfter (-want,+got):\n%s", diff)
	}
	b.refuseNative(req, nil, "no room", now)
	one := b.broken(key, patient.HealAfter, now)
	if one == nil || !one.due || len(one.left) != 1 || len(one.everybody.members) != 2 {
		t.Fatalf("broken is %+v, want a gang that is due, with one member left of two", one)
	}
	evicted(t, b, key, left, now)
}

// evicted has the member that is left go, which opens the gang for the other.
func evicted(t *testing.T, b *book, key gangs.Key, left *v1.Pod, now time.Time) {
	t.Helper()
	if !b.beginHealing(key, patient.HealAfter) || b.healingOf(key) == "" {
		t.Fatal("the gang is not closed while its members are evicted")
	}
	if diff := cmp.Diff([]string{"left"}, podNames(b.evictees(now)[key])); diff != "" {
		t.Errorf("evictees (-want,+got):\n%s", diff)
	}
	leaving := left.DeepCopy()
	leaving.DeletionTimestamp = &metav1.Time{Time: now}
	if n := b.upsert(leaving); len(n.wake) > 0 || b.healingOf(key) == "" {
		t.Errorf("a member on its way out opens the gang: %v", podNames(n.wake))
	}
	if diff := cmp.Diff([]string{"late"}, podNames(b.remove(leaving).wake)); diff != "" {
		t.Errorf("who is woken when all are gone (-want,+got):\n%s", diff)
	}
	if b.healingOf(key) != "" {
		t.Error("the gang stays closed")
	}
}

// A group of which members are done has lost nobody.
func TestNativeGroupThatEndsIsNotBroken(t *testing.T) {
	b := nativeWorld(t)
	ended := native("a", "ended", "n1")
	ended.Status.Phase = v1.PodSucceeded
	req := nativeRequest("a", 2, 0, native("a", "left", "n2"), native("a", "late", ""))
	b.refuseNative(req, []gangs.Member{gangs.PodGroupMember(ended)}, "no room", epoch)
	if one := b.broken(req.gang.Key, patient.HealAfter, epoch.Add(time.Hour)); one != nil {
		t.Errorf("broken is %+v", one)
	}
	b.settleNative(req.gang.Key)
	if len(b.records) != 0 || len(b.natives) != 0 {
		t.Errorf("the book keeps %d records and %d names", len(b.records), len(b.natives))
	}
}

// A group for which there is no room is passed by later ones for maxBypass, and then
// has nodes kept from them, but not from earlier ones.
func TestNativeGroupIsNotPassedForEver(t *testing.T) {
	b := nativeWorld(t)
	anywhere := func(string) bool { return true }
	req := nativeRequest("large", 2, 5, native("large", "l0", ""), native("large", "l1", ""))
	key := req.gang.Key
	b.refuseNative(req, nil, "no room", epoch)
	b.block(key, patient.MaxBypass, epoch, anywhere)
	b.settleNative(key)
	early, late := nativeRequest("early", 1, 1, native("early", "e0", "")), nativeRequest("late", 1, 9, native("late", "s0", ""))
	b.passNative(early.stand, epoch)
	if got := b.tick(patient, epoch.Add(time.Hour)); len(got) > 0 {
		t.Errorf("nobody has passed it, and %v are woken", podNames(got))
	}
	b.passNative(late.stand, epoch)
	now := epoch.Add(patient.MaxBypass)
	if diff := cmp.Diff([]string{"l0"}, podNames(b.tick(patient, now))); diff != "" {
		t.Errorf("who is woken after maxBypass (-want,+got):\n%s", diff)
	}
	b.refuseNative(req, nil, "no room", now)
	if due, _ := b.block(key, patient.MaxBypass, now, anywhere); !due {
		t.Fatal("nodes may not be kept for it")
	}
	b.keep(key, map[string]bool{"n1": true}, now)
	if kept, keeper := b.keptFrom(late.gang.Key, late.stand); !kept["n1"] || keeper != key {
		t.Errorf("a later group is kept off %v by %v", kept, keeper)
	}
	if kept, _ := b.keptFrom(early.gang.Key, early.stand); len(kept) > 0 {
		t.Errorf("an earlier group is kept off %v", kept)
	}
	b.passNative(req.stand, now)
	if kept, _ := b.keptFrom(late.gang.Key, late.stand); len(kept) > 0 || len(b.records) != 0 || len(b.natives) != 0 {
		t.Errorf("it runs, and %v are kept, %d records left", kept, len(b.records))
	}
}

// A change of the declaration gives the group another turn; without members nothing is
// left of it.
func TestNativeGroupIsForgotten(t *testing.T) {
	b := nativeWorld(t)
	l0, l1 := native("large", "l0", ""), native("large", "l1", "")
	req := nativeRequest("large", 2, 5, l0, l1)
	b.refuseNative(req, nil, "no room", epoch)
	b.block(req.gang.Key, patient.MaxBypass, epoch, func(string) bool { return true })
	if n := b.changed(req.gang.Key); len(n.wake) > 0 || n.ended != nil {
		t.Errorf("a change wakes %v, which the scheduler's queue does", podNames(n.wake))
	}
	if rec := b.records[req.gang.Key]; rec == nil || rec.turn.blocked || len(rec.members) != 2 {
		t.Errorf("after the change it is %+v", rec)
	}
	b.block(req.gang.Key, patient.MaxBypass, epoch, func(string) bool { return true })
	b.remove(l0)
	b.remove(l1)
	if len(b.records) != 0 || len(b.natives) != 0 {
		t.Errorf("the book keeps %d records and %d names of a group without members", len(b.records), len(b.natives))
	}
}
