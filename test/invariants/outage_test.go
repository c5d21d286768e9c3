// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/watch"
)

// outage simulates an outage.
func (f *judgeFixture) outage(length time.Duration) {
	f.begin(f.now)
	f.advance(length)
	f.end(f.now)
}

func TestOutagesAreNotCounted(t *testing.T) {
	four := map[string]any{"minMember": int64(4)}
	half := func(f *judgeFixture) []string {
		f.coscheduling("g", four)
		names := f.members("a", 4, inCoscheduling("g"))
		f.bind("n1", names[:2]...)
		f.advance(5 * time.Second)
		return names[2:]
	}
	runJudgeCases(t, map[string]judgeCase{
		"a gang that is completed after an outage": {func(f *judgeFixture) {
			rest := half(f)
			f.outage(time.Minute)
			f.advance(4 * time.Second)
			f.bind("n1", rest...)
			f.advance(pastGrace)
		}, nil},
		"a gang that stays below its minimum after an outage": {func(f *judgeFixture) {
			half(f)
			f.outage(time.Minute)
			f.advance(6 * time.Second)
		}, []string{"I1: gang PodGroup ml/g: bound below its minimum (member 2 of 4), 1m10.1s after its last binding"}},
		"outages overlap": {func(f *judgeFixture) {
			half(f)
			f.begin(f.now)
			f.outage(time.Minute)
			f.advance(time.Minute)
			f.end(f.now)
			f.advance(4 * time.Second)
		}, nil},
		"a claim that a waiting pod holds during an outage": {func(f *judgeFixture) {
			f.pod("a", withClaim("x"))
			f.claim("x", "a", "n1", "gpu-0")
			f.outage(time.Minute)
			f.claim("x", "", "")
			f.advance(pastGrace)
		}, nil},
		"a node that was deleted during an outage": {func(f *judgeFixture) {
			f.pod("a")
			f.begin(f.now)
			f.nodeChanged(f.nodeBy["n1"], nil, f.now)
			f.advance(time.Minute)
			f.end(f.now)
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, nil},
		"a node that was deleted before an outage": {func(f *judgeFixture) {
			f.pod("a")
			f.nodeChanged(f.nodeBy["n1"], nil, f.now)
			f.advance(5 * time.Second)
			f.outage(time.Minute)
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, []string{"I2: pod ml/a was bound to n1, which does not exist"}},
	})
}

func TestListsAreNotInOrder(t *testing.T) {
	runJudgeCases(t, map[string]judgeCase{
		"a device that moved to another claim": {func(f *judgeFixture) {
			f.claim("x", "", "n1", "gpu-0")
			f.list(true, f.now)
			f.claim("y", "", "n1", "gpu-0")
			f.claim("x", "", "")
			f.list(false, f.now)
			f.advance(pastGrace)
		}, nil},
		"a device that is in two claims": {func(f *judgeFixture) {
			f.claim("x", "", "n1", "gpu-0")
			f.list(true, f.now)
			f.claim("y", "", "n1", "gpu-0")
			f.claim("x", "", "n1", "gpu-0")
			f.list(false, f.now)
			f.advance(pastGrace)
		}, []string{"I2: device gpu.example.com/n1/gpu-0 is allocated to claim ml/y and to claim ml/x"}},
		"a binding in a list is load": {func(f *judgeFixture) {
			large := func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests["cpu"] = resource.MustParse("8") }
			f.pod("a", large)
			f.pod("b", large)
			f.bind("n1", "a")
			f.list(true, f.now)
			f.bind("n1", "b")
			f.remove("a")
			f.list(false, f.now)
			f.advance(pastGrace)
		}, nil},
	})
}

func TestSlicesThatWentAwayCountForAWhile(t *testing.T) {
	bindAfter := func(wait time.Duration) func(*judgeFixture) {
		return func(f *judgeFixture) {
			f.pod("a", withClaim("x"))
			f.claim("x", "a", "n1", "gpu-0")
			f.sliceChanged(newSlice("n1"), nil, f.now)
			f.advance(wait)
			f.bind("n1", "a")
			f.advance(pastGrace)
		}
	}
	runJudgeCases(t, map[string]judgeCase{
		"a moment ago": {bindAfter(time.Second), nil},
		"long ago": {bindAfter(3 * time.Second),
			[]string{"I2: pod ml/a was bound to n1 with claim x, which has device gpu.example.com/n1/gpu-0, which no ResourceSlice offers on that node"}},
	})
}

// A watch that ends begins an outage, and its successor ends it.
func TestBrokenWatchesAreOutages(t *testing.T) {
	changes := make(chan string, 4)
	l := &link{broke: func() { changes <- "broke" }, stands: func() { changes <- "stands" }}
	from := watch.NewFake()
	passed := l.follow(t.Context(), from)
	go from.Add(newPod("a"))
	if event := <-passed.ResultChan(); event.Type != watch.Added {
		t.Errorf("got event %s, want %s", event.Type, watch.Added)
	}
	from.Stop()
	if _, open := <-passed.ResultChan(); open {
		t.Error("the watch goes on after its source has ended")
	}
	if got := <-changes; got != "broke" {
		t.Errorf("got %q, want broke", got)
	}
	l.set(true)
	l.set(false)
	l.set(false)
	if got := <-changes; got != "stands" {
		t.Errorf("got %q, want stands", got)
	}
	if len(changes) > 0 {
		t.Errorf("a second change: %s", <-changes)
	}
}
