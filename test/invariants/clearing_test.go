// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestPreemptorOf(t *testing.T) {
	for message, want := range map[string]string{
		"evicted for gang ml/a of priority 1000, which needs its 8 GPUs; loses about 14 minutes": "gang ml/a 1000",
		"evicted for gang ml/set/0 of priority -5":                                               "gang ml/set/0 -5",
		"evicted for pod ml/a-0 of priority 0":                                                   "pod ml/a-0 0",
		"evicted for job ml/a of priority 1":                                                     "",
		"evicted for gang a of priority 1":                                                       "",
		"evicted for gang ml/a":                                                                  "",
		"dovetail: preempting to accommodate a higher priority pod":                              "",
		"not evicted for gang ml/a of priority 1":                                                "",
		"evicted for gang ml/a of priority 99999999999999999999999 ...":                          "",
	} {
		pod := newPod("v", withPreemptor(message))
		got := ""
		if p, priority, ok := preemptorOf(pod); ok {
			got = fmt.Sprint(p, " ", priority)
		}
		if got != want {
			t.Errorf("%q: preemptor %q, want %q", message, got, want)
		}
		for name, change := range map[string]func(*v1.PodCondition){
			"status": func(c *v1.PodCondition) { c.Status = v1.ConditionFalse },
			"reason": func(c *v1.PodCondition) { c.Reason = "EvictionByEvictionAPI" },
			"type":   func(c *v1.PodCondition) { c.Type = v1.PodScheduled },
		} {
			other := pod.DeepCopy()
			change(&other.Status.Conditions[0])
			if p, _, ok := preemptorOf(other); ok {
				t.Errorf("%q with another %s: preemptor %v", message, name, p)
			}
		}
	}
}

// withPreemptor gives a pod the condition with which Dovetail marks a victim.
func withPreemptor(message string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Status.Conditions = []v1.PodCondition{{Type: v1.DisruptionTarget, Status: v1.ConditionTrue, Reason: v1.PodReasonPreemptionByScheduler, Message: message}}
	}
}

// saying gives a pod a PodScheduled condition.
func saying(message string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Status.Conditions = []v1.PodCondition{{Type: v1.PodScheduled, Status: v1.ConditionFalse, Reason: v1.PodReasonUnschedulable, Message: message}}
	}
}

func ofPriority(n int32) func(*v1.Pod) { return func(p *v1.Pod) { p.Spec.Priority = &n } }

func asking(cpu string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.Containers[0].Resources.Requests = v1.ResourceList{"cpu": resource.MustParse(cpu)}
	}
}

// mark sets the condition of victims. leave lets the Eviction API delete them, which replaces the
// condition. evict does both.
func (f *judgeFixture) mark(by string, names ...string) {
	f.edit(withPreemptor("evicted for "+by+", which needs it"), names...)
}

func (f *judgeFixture) leave(names ...string) {
	f.edit(func(p *v1.Pod) {
		terminating(p)
		p.Status.Conditions = []v1.PodCondition{{Type: v1.DisruptionTarget, Status: v1.ConditionTrue, Reason: "EvictionByEvictionAPI"}}
	}, names...)
}

func (f *judgeFixture) evict(by string, names ...string) {
	f.mark(by, names...)
	f.leave(names...)
}

const (
	byGang         = "gang ml/high of priority 10"
	pastPlacement  = defaultPlacement + time.Second
	unplaced       = "I8: %d pods were evicted for %s, which was not placed within 1m0.1s after they were gone and does not say why"
	secondEviction = " was evicted for gang ml/high a second time, though the gang was not placed in between"
)

// fullNode is node n1 with ten running pods of low priority, v-0 to v-9, and gang high of two pods
// of five CPUs that waits.
func fullNode(f *judgeFixture) []string {
	f.node("n1", func(n *v1.Node) { n.Status.Allocatable["pods"] = resource.MustParse("20") })
	victims := f.members("v", 10)
	f.bind("n1", victims...)
	f.coscheduling("high", map[string]any{"minMember": int64(2)})
	f.members("h", 2, inCoscheduling("high"), ofPriority(10), asking("5"))
	f.advance(time.Hour)
	return victims
}

func TestEvictedFor(t *testing.T) {
	runJudgeCases(t, map[string]judgeCase{
		"the gang is placed once its victims are gone": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.advance(30 * time.Second)
			f.remove(victims...)
			f.advance(30 * time.Second)
			f.bind("n1", "h-0", "h-1")
			f.advance(10 * pastPlacement)
		}, nil},
		"the gang is not placed": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.advance(90 * time.Second) // while victims leave, no time counts
			f.remove(victims...)
			f.advance(2 * pastPlacement)
		}, []string{fmt.Sprintf(unplaced, 10, "gang ml/high")}},
		"a part of the gang is placed": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.remove(victims...)
			f.bind("n1", "h-0")
			f.advance(pastPlacement)
		}, []string{
			"I1: gang PodGroup ml/high: bound below its minimum (member 1 of 2), 10.1s after its last binding",
			fmt.Sprintf(unplaced, 10, "gang ml/high"),
		}},
		"victims are deleted without a grace period": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.mark(byGang, victims...)
			f.remove(victims...)
			f.advance(pastPlacement)
		}, []string{fmt.Sprintf(unplaced, 10, "gang ml/high")}},
		"a single pod as preemptor": {func(f *judgeFixture) {
			fullNode(f)
			f.pod("p", ofPriority(10))
			f.evict("pod ml/p of priority 10", "v-0")
			f.remove("v-0")
			f.advance(pastPlacement)
		}, []string{fmt.Sprintf(unplaced, 1, "pod ml/p")}},
		"a single pod that is placed": {func(f *judgeFixture) {
			fullNode(f)
			f.pod("p", ofPriority(10))
			f.evict("pod ml/p of priority 10", "v-0")
			f.remove("v-0")
			f.bind("n1", "p")
			f.advance(pastPlacement)
		}, nil},
		"the gang says why it is not placed": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.edit(saying("gang ml/high: evicting 10 pods"), "h-0")
			f.remove(victims...)
			f.advance(time.Second)
			f.edit(saying("no room: node n1 is cordoned"), "h-0")
			f.advance(pastPlacement)
		}, nil},
		"an older reason and a wait for victims are no reason": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.edit(saying("no room"), "h-0")
			f.evict(byGang, victims...)
			f.remove(victims...)
			f.edit(func(p *v1.Pod) { p.Annotations = map[string]string{"a": "b"} }, "h-0")
			f.edit(saying("waiting for 10 pods that are ending on 1 nodes"), "h-1")
			f.advance(pastPlacement)
		}, []string{fmt.Sprintf(unplaced, 10, "gang ml/high")}},
		"a reason before the last eviction is no reason": {func(f *judgeFixture) {
			fullNode(f)
			f.evict(byGang, "v-0")
			f.remove("v-0")
			f.edit(saying("no room"), "h-0")
			f.evict(byGang, "v-1")
			f.remove("v-1")
			f.advance(pastPlacement)
		}, []string{fmt.Sprintf(unplaced, 2, "gang ml/high")}},
		"the object that declares the gang is deleted": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.remove(victims...)
			f.coscheduling("high", nil)
			f.advance(pastPlacement)
		}, nil},
		"the members of the gang end": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.remove(victims...)
			f.remove("h-0")
			f.advance(pastPlacement)
		}, nil},
		"the members of the gang end, and others replace them": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.remove(victims...)
			f.remove("h-0", "h-1")
			f.advance(time.Second)
			f.members("h", 2, inCoscheduling("high"), ofPriority(10), asking("5"))
			f.advance(pastPlacement)
		}, nil},
		"a victim never ends": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.remove(victims[1:]...)
			f.advance(time.Hour)
		}, nil},
		"an outage": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.remove(victims...)
			f.begin(f.now)
			f.advance(pastPlacement)
			f.end(f.now)
			f.advance(30 * time.Second)
			f.bind("n1", "h-0", "h-1")
			f.advance(pastPlacement)
		}, nil},
		"a pod that is marked, not evicted, and deleted later": {func(f *judgeFixture) {
			fullNode(f)
			f.mark(byGang, "v-0")
			f.advance(pastGrace)
			f.leave("v-0")
			f.remove("v-0")
			f.advance(pastPlacement)
		}, nil},
		"evictions by others": {func(f *judgeFixture) {
			fullNode(f)
			f.edit(withPreemptor("dovetail: preempting to accommodate a higher priority pod"), "v-0")
			f.leave("v-0", "v-1")
			f.remove("v-0", "v-1")
			f.advance(pastPlacement)
		}, nil},
		"the pods of a JobSet": {func(f *judgeFixture) {
			fullNode(f)
			of := func(p *v1.Pod) { p.Labels[jobSetLabel] = "set" }
			f.members("j", 2, of, ofPriority(10))
			f.evict("gang ml/set of priority 10", "v-0")
			f.remove("v-0")
			f.advance(pastPlacement)
		}, []string{fmt.Sprintf(unplaced, 1, "gang ml/set")}},
		"a gang of PodGroups": {func(f *judgeFixture) {
			fullNode(f)
			f.podGroup("child", 1)
			key := gangKey{source: fromPodGroup, namespace: "ml", name: "child"}
			below := f.declarations[key]
			below.parent = "root"
			f.declarations[key] = below
			f.composites[gangKey{source: fromComposite, namespace: "ml", name: "root"}] = composite{least: 1}
			f.pod("c", inPodGroup("child"), ofPriority(10))
			f.evict("gang ml/root of priority 10", "v-0")
			f.remove("v-0")
			f.bind("n1", "c")
			f.advance(pastPlacement)
		}, nil},
	})
}

func TestOneClearingAtATime(t *testing.T) {
	again := func(f *judgeFixture) { // the first clearing fails with a reason
		fullNode(f)
		f.evict(byGang, "v-0")
		f.remove("v-0")
		f.edit(saying("no room"), "h-0")
		f.advance(pastPlacement)
	}
	runJudgeCases(t, map[string]judgeCase{
		"evictions in quick succession": {func(f *judgeFixture) {
			victims := fullNode(f)
			for _, name := range victims {
				f.evict(byGang, name)
				f.advance(9 * time.Second)
			}
			f.remove(victims...)
			f.bind("n1", "h-0", "h-1")
			f.advance(pastPlacement)
		}, nil},
		"a second clearing while victims leave": {func(f *judgeFixture) {
			fullNode(f)
			f.evict(byGang, "v-0", "v-1")
			f.remove("v-0")
			f.advance(pastGrace)
			f.evict(byGang, "v-2")
			f.evict(byGang, "v-3")
		}, []string{"I10: pod ml/v-2 was evicted for gang ml/high while 1 pods that were evicted for it before are still leaving"}},
		"a restarted scheduler continues": {func(f *judgeFixture) {
			fullNode(f)
			f.evict(byGang, "v-0", "v-1")
			(&Checker{judge: f.judge}).SchedulerRestarted()
			f.advance(pastGrace)
			f.evict(byGang, "v-2", "v-3")
		}, nil},
		"evictions that go on after an outage": {func(f *judgeFixture) {
			fullNode(f)
			f.evict(byGang, "v-0", "v-1")
			c := &Checker{judge: f.judge}
			c.beginOutage()
			c.endOutage()
			f.advance(pastGrace)
			f.evict(byGang, "v-2", "v-3")
		}, nil},
		"a second clearing beside a victim that never ends": {func(f *judgeFixture) {
			fullNode(f)
			f.evict(byGang, "v-0")
			f.advance(time.Hour)
			f.evict(byGang, "v-1")
		}, nil},
		"clearings for two gangs": {func(f *judgeFixture) {
			fullNode(f)
			f.bind("n2", f.members("x", 2, inGangOf("other", "2"))...)
			f.pod("o", inGangOf("third", "1"), ofPriority(10))
			f.evict(byGang, "v-0")
			f.advance(pastGrace)
			f.evict("gang ml/third of priority 10", "v-1")
		}, nil},
		"a pod with the same name is evicted again": {func(f *judgeFixture) {
			again(f)
			f.pod("v-0")
			f.bind("n1", "v-0")
			f.advance(time.Hour)
			f.evict(byGang, "v-0")
		}, []string{"I10: pod ml/v-0" + secondEviction}},
		"another pod is evicted": {func(f *judgeFixture) {
			again(f)
			f.advance(time.Hour)
			f.evict(byGang, "v-1")
		}, nil},
		"a pod is evicted again after the gang was placed": {func(f *judgeFixture) {
			victims := fullNode(f)
			f.evict(byGang, victims...)
			f.remove(victims...)
			f.bind("n1", "h-0", "h-1")
			f.advance(pastGrace)
			f.remove("h-0", "h-1")
			f.pod("v-0")
			f.bind("n1", "v-0")
			f.members("h", 2, inCoscheduling("high"), ofPriority(10), asking("5"))
			f.advance(time.Hour)
			f.evict(byGang, "v-0")
		}, nil},
		"a pod is evicted again as soon as the gang was placed": {func(f *judgeFixture) {
			again(f)
			f.pod("v-0")
			f.bind("n1", "v-0")
			f.evict(byGang, "v-1")
			f.remove("v-1")
			f.bind("n2", "h-0", "h-1")
			f.pod("h-2", inCoscheduling("high"), ofPriority(10))
			f.evict(byGang, "v-0")
		}, nil},
		"a whole gang is evicted again": {func(f *judgeFixture) {
			fullNode(f)
			low := f.members("l", 2, inGangOf("low", "2"))
			f.bind("n2", low...)
			f.evict(byGang, low...)
			f.remove(low...)
			f.edit(saying("no room"), "h-0")
			f.advance(pastPlacement)
			f.bind("n2", f.members("m", 2, inGangOf("low", "2"))...)
			f.evict(byGang, "m-0", "m-1")
		}, []string{"I10: gang label ml/low" + secondEviction}},
		"two surplus members of a gang, one after the other": {func(f *judgeFixture) {
			fullNode(f)
			low := f.members("l", 4, inGangOf("low", "2"))
			f.bind("n2", low...)
			f.evict(byGang, "l-0")
			f.remove("l-0")
			f.edit(saying("no room"), "h-0")
			f.advance(pastPlacement)
			f.evict(byGang, "l-1")
			f.advance(pastGrace)
		}, nil},
	})
}
