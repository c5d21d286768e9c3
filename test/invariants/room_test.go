// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
)

func TestRoomOfVictims(t *testing.T) {
	taken := func(sentence string) []string {
		return []string{"I11: gang ml/high was not placed within 1m0.1s after its victims were gone, and pods of no higher priority were placed in their room: " + sentence}
	}
	cleared := func(f *judgeFixture) {
		victims := fullNode(f)
		f.evict(byGang, victims...)
		f.remove(victims...)
	}
	runJudgeCases(t, map[string]judgeCase{
		"a pod of lower priority takes it": {func(f *judgeFixture) {
			cleared(f)
			f.pod("taker", ofPriority(9))
			f.bind("n1", "taker")
			f.edit(saying("no room"), "h-0")
			f.advance(pastPlacement)
		}, taken("pod ml/taker of priority 9 took cpu of node n1 at 01:16:40.000")},
		"a pod of equal priority takes it while victims leave": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.remove(victims[0])
			f.pod("taker", ofPriority(10))
			f.bind("n1", "taker")
			f.remove(victims[1:]...)
			f.advance(pastPlacement)
		}, taken("pod ml/taker of priority 10 took cpu of node n1 at 01:16:40.000")},
		"a pod of higher priority takes it": {func(f *judgeFixture) {
			cleared(f)
			f.pod("taker", ofPriority(11))
			f.bind("n1", "taker")
			f.edit(saying("no room"), "h-0")
			f.advance(pastPlacement)
		}, nil},
		"the gang is placed all the same": {func(f *judgeFixture) {
			cleared(f)
			f.pod("other")
			f.bind("n1", "other")
			f.bind("n2", "h-0", "h-1")
			f.advance(pastPlacement)
		}, nil},
		"a pod takes what was free beside the victims": {func(f *judgeFixture) {
			fullNode(f)
			f.edit(asking("0"), "v-9")
			f.evict(byGang, "v-0", "v-1")
			f.remove("v-0", "v-1")
			f.pod("other")
			f.bind("n1", "other")
			f.edit(saying("no room"), "h-0")
			f.advance(pastPlacement)
		}, nil},
		"a pod takes what another left": {func(f *judgeFixture) {
			fullNode(f)
			f.evict(byGang, "v-0", "v-1")
			f.remove("v-0", "v-1", "v-2")
			f.pod("other")
			f.bind("n1", "other")
			f.edit(saying("no room"), "h-0")
			f.advance(pastPlacement)
		}, nil},
		"a pod on another node, one of another scheduler, and one after the time limit": {func(f *judgeFixture) {
			cleared(f)
			f.pod("far")
			f.bind("n2", "far")
			f.pod("foreign", func(p *v1.Pod) { p.Spec.SchedulerName = "default-scheduler" })
			f.bind("n1", "foreign")
			f.edit(saying("no room"), "h-0")
			f.advance(pastPlacement)
			f.pod("late")
			f.bind("n1", "late")
			f.advance(pastPlacement)
		}, nil},
		"a pod takes a device": {func(f *judgeFixture) {
			fullNode(f)
			f.pod("v", withClaim("c"), asking("0"))
			f.claim("c", "v", "n2", "gpu-0")
			f.bind("n2", "v")
			f.advance(time.Minute)
			f.evict(byGang, "v")
			f.claim("c", "", "n2")
			f.remove("v")
			f.pod("taker", withClaim("d"))
			f.claim("d", "taker", "n2", "gpu-0")
			f.bind("n2", "taker")
			f.edit(saying("no room"), "h-0")
			f.advance(pastPlacement)
		}, taken("pod ml/taker of priority 0 took device gpu.example.com/n2/gpu-0")},
	})
}

func TestEvictionCounts(t *testing.T) {
	f := newJudgeFixture()
	f.node("n1")
	victims := fullNode(f)
	f.evict(byGang, victims[:4]...)
	f.remove(victims[:4]...)
	f.edit(saying("no room"), "h-0")
	f.advance(pastPlacement)
	f.evict(byGang, victims[4:]...)
	f.remove(victims[4:]...)
	f.bind("n1", "h-0", "h-1")
	f.advance(time.Second)
	if diff := cmp.Diff(Evictions{Pods: 10, Clearings: 2, Placed: 1, Useless: 1}, (&Checker{judge: f.judge}).Evictions()); diff != "" {
		t.Errorf("evictions (-want,+got):\n%s", diff)
	}
	if found := f.findings(); len(found) > 0 {
		t.Errorf("violations %v", found)
	}
}

// TestEvictionsInAList has an outage of the pods' watch, after which a list shows that victims are
// gone and that the gang is placed.
func TestEvictionsInAList(t *testing.T) {
	f := newJudgeFixture()
	f.node("n1")
	victims := fullNode(f)
	f.evict(byGang, victims...)
	f.advance(time.Second)
	f.list(true, f.now)
	f.remove(victims...)
	f.edit(func(p *v1.Pod) { p.Spec.NodeName = "n1" }, "h-0", "h-1")
	f.list(false, f.now)
	f.advance(pastPlacement)
	if found := f.findings(); len(found) > 0 || f.counts.Placed != 1 {
		t.Errorf("violations %v, counts %+v", found, f.counts)
	}
}
