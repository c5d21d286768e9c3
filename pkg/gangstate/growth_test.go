// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// many is how many gangs come and go in a test.
const many = 100_000

// A hundred thousand gangs, some refused and some without a declaration, leave nothing.
func TestGangsLeaveNothing(t *testing.T) {
	s := newSimulation(t, 0)
	for i := range many {
		name := fmt.Sprintf("g%d", i)
		a, b := member(name, name+"-a"), member(name, name+"-b")
		if i%3 > 0 {
			s.groups.declare(name, 2)
		}
		s.tracker.Upsert(a, s.now)
		s.tracker.Upsert(b, s.now)
		if i%3 == 1 {
			s.refuse(s.key(a), "no room", a.UID)
		}
		s.tracker.Remove(a, s.now)
		s.tracker.Remove(b, s.now)
		delete(s.groups, name)
	}
	if diff := cmp.Diff(Sizes{}, s.tracker.Sizes()); diff != "" {
		t.Errorf("left of the gangs (-want,+got):\n%s", diff)
	}
}

// Pods without a gang that a reservation displaces are forgotten when they are deleted or
// bound, though the reservation lasts.
func TestDisplacedPodsAreForgotten(t *testing.T) {
	s := newSimulation(t, 0)
	exists := map[types.UID]bool{}
	s.tracker.options.Exists = func(pod *v1.Pod) bool { return exists[pod.UID] }
	key, _, _ := s.pair("p", "q")
	holder := s.tracker.gangs[key]
	holder.quorumReady, holder.reservation.nodes, s.tracker.holder = true, map[string]bool{"n1": true}, holder
	for i := range many {
		pod := member("", fmt.Sprintf("p%d", i))
		delete(pod.Labels, gangs.CoschedulingLabel)
		pod.CreationTimestamp.Time = epoch.Add(1)
		exists[pod.UID] = i%3 > 0
		if s.tracker.AvoidReserved(pod, s.now) == nil {
			t.Fatalf("pod %s may use reserved nodes", pod.Name)
		}
		if i%3 == 1 {
			s.tracker.Remove(pod, s.now)
		} else {
			s.tracker.Upsert(placedOn(pod, "n2"), s.now)
		}
		delete(exists, pod.UID)
	}
	if n := s.tracker.Sizes().Displaced; n > 0 {
		t.Errorf("%d deleted or bound pods are kept", n)
	}
}

// A PodGroup whose pods are deleted during its cycle is not tracked after the cycle: no
// event would remove it.
func TestPodGroupsDeletedInTheirCycle(t *testing.T) {
	tr := podGroupTracker(t)
	exists := map[types.UID]bool{}
	tr.options.Exists = func(pod *v1.Pod) bool { return exists[pod.UID] }
	for i := range many {
		name := fmt.Sprintf("g%d", i)
		pod := podOf(name, name, "")
		request := podGroupRequest(name, 1, 0, pod)
		if exists[pod.UID] = i%2 == 0; i%4 < 2 {
			question := refusePodGroup(tr, request, nil, epoch)
			tr.ResolvePodGroup(question, &Answer{Refusal: "no room", Searched: true}, epoch)
		} else {
			tr.PodGroupFilterRefused(&request, RefusedMember{Node: "n1", Sentence: "refused"}, epoch)
		}
		if exists[pod.UID] && tr.Sizes().Gangs == 0 {
			t.Fatalf("PodGroup %s is not tracked", name)
		}
		tr.Remove(pod, epoch)
	}
	if diff := cmp.Diff(Sizes{}, tr.Sizes()); diff != "" {
		t.Errorf("left of the PodGroups (-want,+got):\n%s", diff)
	}
}

// A pod is forgotten by the gang that has it, also if the sources no longer put it there.
func TestMemberOfAnotherGangIsForgotten(t *testing.T) {
	s := newSimulation(t, 0)
	_, a, b := s.pair("p", "q")
	a.Labels = map[string]string{gangs.CoschedulingLabel: "other"}
	s.tracker.Remove(a, s.now)
	b.Labels = map[string]string{gangs.CoschedulingLabel: "other"}
	s.tracker.Upsert(b, s.now)
	if diff := cmp.Diff(Sizes{Gangs: 1, Members: 1}, s.tracker.Sizes()); diff != "" {
		t.Errorf("after one pod left and one changed its gang (-want,+got):\n%s", diff)
	}
}
