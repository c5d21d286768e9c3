// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Status has the time at which a gang last came closer to its quorum: by a member or by the
// end of a member's wait. A member that replaces another is no progress until the quorum was
// ready once.
func TestProgress(t *testing.T) {
	s := newSimulation(t, 0)
	key := s.groups.declare("a", 3)
	p, q := member("a", "p"), gated(member("a", "q"))
	steps := []struct {
		what string
		do   func()
		// want is the second of the last progress.
		want int
	}{
		{"the first member", func() { s.tracker.Upsert(p, s.now) }, 1},
		{"a second one, not ready", func() { s.tracker.Upsert(q, s.now) }, 2},
		{"an update without meaning", func() {
			again := q.DeepCopy()
			again.Annotations = map[string]string{"example.com/note": "1"}
			s.tracker.Upsert(again, s.now)
		}, 2},
		{"it is ready", func() { s.tracker.Upsert(member("a", "q"), s.now) }, 4},
		{"it is deleted", func() { s.tracker.Remove(member("a", "q"), s.now) }, 4},
		{"it is replaced", func() { s.tracker.Upsert(member("a", "r"), s.now) }, 4},
		{"the third member, which completes the quorum", func() { s.tracker.Upsert(member("a", "s"), s.now) }, 7},
		{"one of them is deleted", func() { s.tracker.Remove(member("a", "s"), s.now) }, 7},
		{"its replacement", func() { s.tracker.Upsert(gated(member("a", "t")), s.now) }, 9},
	}
	for i, step := range steps {
		s.now = epoch.Add(time.Duration(i+1) * time.Second)
		step.do()
		if got := int(s.tracker.Status(key).ProgressAt.Sub(epoch).Seconds()); got != step.want {
			t.Errorf("second %d, %s: the last progress was in second %d, want %d", i+1, step.what, got, step.want)
		}
	}
	s.tracker.Upsert(member("a", "t"), s.now)
	s.refuse(key, "no room", "")
	if at := s.tracker.Status(key).ProgressAt; !at.IsZero() {
		t.Errorf("a gang without room says when it last came closer to its quorum: %v", at)
	}
}

// Each gang is counted by the tracker of the profile that its pods name, from its first pod
// to its last.
func TestGangIsCountedOnce(t *testing.T) {
	counted := map[string]int{}
	var trackers []*Tracker
	groups := podGroups{}
	for _, name := range []string{profile, "scheduler-plugins-scheduler"} {
		trackers = append(trackers, New(Options{
			Profile: name, Sources: gangs.Sources{gangs.NewCoschedulingSource(groups, groups, nil)},
			Exists:  func(*v1.Pod) bool { return true },
			Counted: func(source string, change int) { counted[name+" "+source] += change },
		}))
	}
	groups.declare("a", 2)
	other := member("b", "x")
	other.Spec.SchedulerName = "scheduler-plugins-scheduler"
	foreign := member("c", "y")
	foreign.Spec.SchedulerName = "default-scheduler"
	pods := []*v1.Pod{member("a", "p"), placedOn(member("a", "q"), "n"), other, foreign}
	for _, tracker := range trackers {
		for _, pod := range pods {
			tracker.Upsert(pod, epoch)
		}
	}
	want := map[string]int{profile + " podgroup": 1, "scheduler-plugins-scheduler podgroup": 1}
	if diff := cmp.Diff(want, counted); diff != "" {
		t.Errorf("gangs by profile (-want,+got):\n%s", diff)
	}
	for _, tracker := range trackers {
		for _, pod := range pods {
			tracker.Erase(pod, epoch)
		}
	}
	want = map[string]int{profile + " podgroup": 0, "scheduler-plugins-scheduler podgroup": 0}
	if diff := cmp.Diff(want, counted); diff != "" {
		t.Errorf("gangs by profile when all pods are gone (-want,+got):\n%s", diff)
	}
}
