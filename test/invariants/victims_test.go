// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// lowGang is a gang of four pods on node n2, l-0 to l-3, with a minimum of three, that has run for
// an hour. Gang high waits.
func lowGang(f *judgeFixture, changes ...func(*v1.Pod)) []string {
	f.coscheduling("high", map[string]any{"minMember": int64(2)})
	f.members("h", 2, inCoscheduling("high"), ofPriority(10))
	f.coscheduling("low", map[string]any{"minMember": int64(3)})
	low := f.members("l", 4, append([]func(*v1.Pod){inCoscheduling("low")}, changes...)...)
	f.bind("n2", low...)
	f.advance(time.Hour)
	return low
}

// endAll lets the evicted pods end and places gang high.
func (f *judgeFixture) endAll(names ...string) {
	f.remove(names...)
	f.bind("n1", "h-0", "h-1")
	f.advance(pastGrace)
}

func undisturbed(d string) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Annotations = map[string]string{minRuntimeAnnotation: d} }
}

func belowMinimum(evicted, kept int) string {
	return fmt.Sprintf("I9: gang PodGroup ml/low: %d of 4 members were evicted for gang ml/high, which left it below its minimum (member %d of 3)", evicted, kept)
}

func TestGangOfVictims(t *testing.T) {
	runJudgeCases(t, map[string]judgeCase{
		"the whole gang": {func(f *judgeFixture) {
			low := lowGang(f)
			f.evict(byGang, low...)
			f.endAll(low...)
		}, nil},
		"surplus": {func(f *judgeFixture) {
			lowGang(f)
			f.evict(byGang, "l-3")
			f.endAll("l-3")
		}, nil},
		"more than the surplus": {func(f *judgeFixture) {
			lowGang(f)
			f.evict(byGang, "l-2", "l-3")
			f.endAll("l-2", "l-3")
		}, []string{belowMinimum(2, 2)}},
		"more than the surplus, for two preemptors": {func(f *judgeFixture) {
			lowGang(f)
			f.pod("p", ofPriority(10))
			f.evict(byGang, "l-2")
			f.evict("pod ml/p of priority 10", "l-3")
			f.bind("n1", "p")
			f.endAll("l-2", "l-3")
		}, []string{"I9: gang PodGroup ml/low: 2 of 4 members were evicted for pod ml/p, which left it below its minimum (member 2 of 3)"}},
		"one after the other": {func(f *judgeFixture) {
			low := lowGang(f)
			for _, name := range low {
				f.evict(byGang, name)
				f.advance(9 * time.Second)
			}
			f.endAll(low...)
		}, nil},
		"a controller deletes the rest": {func(f *judgeFixture) {
			low := lowGang(f)
			f.evict(byGang, "l-0", "l-1", "l-2")
			f.edit(terminating, "l-3")
			f.endAll(low...)
		}, nil},
		"a member that ended before is not missed": {func(f *judgeFixture) {
			lowGang(f)
			f.remove("l-0")
			f.evict(byGang, "l-1")
			f.endAll("l-1")
		}, []string{"I9: gang PodGroup ml/low: 1 of 3 members were evicted for gang ml/high, which left it below its minimum (member 2 of 3)"}},
		"members that succeeded count": {func(f *judgeFixture) {
			lowGang(f)
			f.edit(phase(v1.PodSucceeded), "l-0")
			f.evict(byGang, "l-1")
			f.endAll("l-1")
		}, nil},
		"a member that ends after an eviction of surplus": {func(f *judgeFixture) {
			lowGang(f)
			f.evict(byGang, "l-3")
			f.edit(phase(v1.PodFailed), "l-0")
			f.endAll("l-3")
		}, nil},
		"members that failed do not remain": {func(f *judgeFixture) {
			lowGang(f)
			f.evict(byGang, "l-0", "l-1", "l-2")
			f.edit(phase(v1.PodFailed), "l-3")
			f.endAll("l-0", "l-1", "l-2")
		}, nil},
		"succeeded pods of a Job do not replace evicted ones": {func(f *judgeFixture) {
			lowGang(f)
			f.job("j", map[string]any{"parallelism": int64(2), "completions": int64(4)}, 2)
			names := f.members("a", 4, ofJob("j"))
			f.bind("n3", names...)
			f.edit(phase(v1.PodSucceeded), "a-0", "a-1")
			f.evict(byGang, "a-2")
			f.endAll("a-2")
		}, []string{"I9: gang Job ml/j: 1 of 2 members were evicted for gang ml/high, which left it below its minimum (member 1 of 2)"}},
		"a worker group loses more than its surplus": {func(f *judgeFixture) {
			lowGang(f)
			f.rayCluster("r", rayWith(map[string]any{"groupName": "gpu", "replicas": int64(2)}))
			f.pod("head", inRayCluster("r", "head", "headgroup"))
			f.bind("n3", append(f.members("w", 2, inRayCluster("r", "worker", "gpu")), "head")...)
			f.evict(byGang, "w-0")
			f.endAll("w-0")
		}, []string{"I9: gang RayCluster ml/r: 1 of 3 members were evicted for gang ml/high, which left it below its minimum (gpu 1 of 2, headgroup 1 of 1)"}},
		"a PodGroup whose pods go one by one": {func(f *judgeFixture) {
			lowGang(f)
			f.declareObject("PodGroup", "single", map[string]any{
				"schedulingPolicy": map[string]any{"gang": map[string]any{"minCount": int64(2)}}, "disruptionMode": map[string]any{"single": map[string]any{}},
			}, f.podGroupChanged)
			f.bind("n3", f.members("s", 2, inPodGroup("single"))...)
			f.evict(byGang, "s-0")
			f.endAll("s-0")
		}, nil},
		"a PodGroup whose pods go together": {func(f *judgeFixture) {
			lowGang(f)
			f.podGroup("all", 2)
			f.bind("n3", f.members("s", 2, inPodGroup("all"))...)
			f.evict(byGang, "s-0")
			f.endAll("s-0")
		}, []string{"I9: gang scheduling.k8s.io PodGroup ml/all: 1 of 2 members were evicted for gang ml/high, which left it below its minimum (member 1 of 2)"}},
		"a gang whose object is deleted": {func(f *judgeFixture) {
			lowGang(f)
			f.evict(byGang, "l-0", "l-1")
			f.coscheduling("low", nil)
			f.endAll("l-0", "l-1")
		}, nil},
	})
}

func TestPriorityOfVictims(t *testing.T) {
	of := func(own, above int) []string {
		return []string{fmt.Sprintf("I9: pod ml/v of priority %d was evicted for gang ml/high of priority %d", own, above)}
	}
	evicted := func(by string, priority int32) func(f *judgeFixture) {
		return func(f *judgeFixture) {
			lowGang(f)
			f.pod("v", ofPriority(priority))
			f.bind("n2", "v")
			f.evict(by, "v")
			f.endAll("v")
		}
	}
	runJudgeCases(t, map[string]judgeCase{
		"lower":  {evicted(byGang, 9), nil},
		"equal":  {evicted(byGang, 10), of(10, 10)},
		"higher": {evicted(byGang, 11), of(11, 10)},
		"lower than the condition says, and not than the pods have": {evicted("gang ml/high of priority 20", 15), of(15, 10)},
		"lower than the pods have, and not than the condition says": {evicted("gang ml/high of priority 5", 6), of(6, 5)},
		"a negative priority": {evicted(byGang, -1), nil},
	})
}

func TestRunTimeOfVictims(t *testing.T) {
	early := func(subject, ran, least string) []string {
		return []string{fmt.Sprintf("I9: %s was evicted for gang ml/high after it had run for %s of %s", subject, ran, least)}
	}
	const low = "gang PodGroup ml/low"
	whole := func(changes ...func(*v1.Pod)) func(f *judgeFixture) {
		return func(f *judgeFixture) {
			names := lowGang(f, changes...)
			f.evict(byGang, names...)
			f.endAll(names...)
		}
	}
	single := func(changes ...func(*v1.Pod)) func(f *judgeFixture) {
		return func(f *judgeFixture) {
			lowGang(f)
			f.pod("v", changes...)
			f.bind("n2", "v")
			f.advance(time.Minute)
			f.evict(byGang, "v")
			f.endAll("v")
		}
	}
	runJudgeCases(t, map[string]judgeCase{
		"a gang that has run long enough":     {whole(undisturbed("59m")), nil},
		"a gang that has not":                 {whole(undisturbed("2h")), early(low, "1h0m0s", "2h0m0s")},
		"more than a day counts as a day":     {whole(undisturbed("100h")), early(low, "1h0m0s", "24h0m0s")},
		"an invalid time":                     {whole(undisturbed("long")), nil},
		"a pod that has run long enough":      {single(undisturbed("1m")), nil},
		"a pod that has not":                  {single(undisturbed("2m")), early("pod ml/v", "1m0s", "2m0s")},
		"the argument, for a pod and no gang": {func(f *judgeFixture) { f.minRuntime = 2 * time.Minute; single()(f) }, early("pod ml/v", "1m0s", "2m0s")},
		"the gang's oldest member counts": {func(f *judgeFixture) {
			f.minRuntime = 30 * time.Minute
			names := lowGang(f)
			f.pod("l-4", inCoscheduling("low"))
			f.bind("n2", "l-4")
			f.evict(byGang, append(names, "l-4")...)
			f.endAll(append(names, "l-4")...)
		}, nil},
		"surplus is evicted at any time": {func(f *judgeFixture) {
			lowGang(f, undisturbed("2h"))
			f.evict(byGang, "l-3")
			f.endAll("l-3")
		}, nil},
		"the object that declares the gang": {func(f *judgeFixture) {
			names := lowGang(f)
			f.declareObject("coscheduling PodGroup", "low", map[string]any{"minMember": int64(3)}, func(was, is *unstructured.Unstructured, now time.Time) {
				is.SetAnnotations(map[string]string{minRuntimeAnnotation: "2h"})
				f.coschedulingChanged(was, is, now)
			})
			f.evict(byGang, names...)
			f.endAll(names...)
		}, early(low, "1h0m0s", "2h0m0s")},
		"a pod that ran before the checker": {func(f *judgeFixture) {
			lowGang(f)
			f.list(true, f.now)
			f.pod("v", undisturbed("2m"), func(p *v1.Pod) { p.Spec.NodeName = "n2" })
			f.pod("w", undisturbed("2m"), func(p *v1.Pod) { p.Spec.NodeName, p.Status.StartTime = "n2", &metav1.Time{Time: f.now} })
			f.list(false, f.now)
			f.advance(time.Minute)
			f.evict(byGang, "v", "w")
			f.endAll("v", "w")
		}, early("pod ml/w", "1m0s", "2m0s")},
	})
}
