// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAllOrNothing(t *testing.T) {
	four := map[string]any{"minMember": int64(4)}
	runJudgeCases(t, map[string]judgeCase{
		"a gang bound within the grace": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			names := f.members("a", 4, inCoscheduling("g"))
			for _, name := range names {
				f.bind("n1", name)
				f.advance(9 * time.Second)
			}
			f.advance(pastGrace)
		}, nil},
		"a part of a gang is reported once": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", "a-0", "a-1")
			f.advance(5 * pastGrace)
		}, []string{"I1: gang PodGroup ml/g: bound below its minimum (member 2 of 4), 10.1s after its last binding"}},
		"a part of a gang whose PodGroup event comes last": {func(f *judgeFixture) {
			f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", "a-0")
			f.coscheduling("g", four)
			f.advance(pastGrace)
		}, []string{"I1: gang PodGroup ml/g: bound below its minimum (member 1 of 4), 10.1s after its last binding"}},
		"a bound gang without its PodGroup": {func(f *judgeFixture) {
			f.members("a", 2, inCoscheduling("g"))
			f.bind("n1", "a-0")
			f.advance(pastGrace)
		}, []string{"I1: gang PodGroup ml/g: 1 pods are bound though there is no such PodGroup"}},
		"a gang that met its minimum may lose members": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			names := f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", names...)
			f.edit(phase(v1.PodFailed), "a-0")
			f.remove("a-1", "a-2")
			f.advance(pastGrace)
		}, nil},
		"a gang that held no node must meet its minimum again": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			names := f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", names...)
			f.remove(names...)
			f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", "a-3")
			f.advance(pastGrace)
		}, []string{"I1: gang PodGroup ml/g: bound below its minimum (member 1 of 4), 10.1s after its last binding"}},
		"members that succeeded count": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", "a-0", "a-1")
			f.edit(phase(v1.PodSucceeded), "a-0", "a-1")
			f.bind("n1", "a-2", "a-3")
			f.advance(pastGrace)
		}, nil},
		"a minimum lowered in time makes it whole": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", "a-0", "a-1")
			f.coscheduling("g", map[string]any{"minMember": int64(2)})
			f.advance(pastGrace)
		}, nil},
		"a part of a gang whose pods are being deleted": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", "a-0", "a-1")
			f.edit(terminating, "a-0", "a-1", "a-2", "a-3")
			f.advance(pastGrace)
		}, nil},
		"a part of a gang whose PodGroup is deleted is not judged": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", "a-0", "a-1")
			f.coscheduling("g", nil)
			f.advance(pastGrace)
		}, nil},
		"another scheduler's pods are not judged": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"), func(p *v1.Pod) { p.Spec.SchedulerName = "default-scheduler" })
			f.bind("n1", "a-0")
			f.advance(pastGrace)
		}, nil},
	})
}

func rayWith(groups ...any) map[string]any { return map[string]any{"workerGroupSpecs": groups} }

func TestAllOrNothingOfRayClusters(t *testing.T) {
	gpu := map[string]any{"groupName": "gpu", "replicas": int64(2), "numOfHosts": int64(2)}
	head, worker := inRayCluster("r", "head", "headgroup"), inRayCluster("r", "worker", "gpu")
	runJudgeCases(t, map[string]judgeCase{
		"numOfHosts multiplies the replicas": {func(f *judgeFixture) {
			f.rayCluster("r", rayWith(gpu))
			f.pod("head", head)
			names := f.members("w", 4, worker)
			f.bind("n1", append(names[:3], "head")...)
			f.advance(pastGrace)
		}, []string{"I1: gang RayCluster ml/r: bound below its minimum (gpu 3 of 4, headgroup 1 of 1), 10.1s after its last binding"}},
		"extra workers do not replace the head": {func(f *judgeFixture) {
			f.rayCluster("r", rayWith(gpu))
			f.pod("head", head)
			f.bind("n1", f.members("w", 5, worker)...)
			f.advance(pastGrace)
		}, []string{"I1: gang RayCluster ml/r: bound below its minimum (gpu 5 of 4, headgroup 0 of 1), 10.1s after its last binding"}},
		"an autoscaled cluster needs minReplicas only": {func(f *judgeFixture) {
			spec := rayWith(map[string]any{"groupName": "gpu", "replicas": int64(3), "minReplicas": int64(1)})
			spec["enableInTreeAutoscaling"] = true
			f.rayCluster("r", spec)
			f.pod("head", head)
			names := f.members("w", 3, worker)
			f.bind("n1", "head", names[0])
			f.advance(pastGrace)
		}, nil},
		"replicas are clamped, suspended groups need no pods": {func(f *judgeFixture) {
			f.rayCluster("r", rayWith(
				map[string]any{"groupName": "gpu", "replicas": int64(9), "maxReplicas": int64(2)},
				map[string]any{"groupName": "cpu", "replicas": int64(1), "suspend": true}))
			f.pod("head", head)
			f.bind("n1", append(f.members("w", 2, worker), "head")...)
			f.advance(pastGrace)
		}, nil},
		"a suspended cluster is no gang": {func(f *judgeFixture) {
			spec := rayWith(gpu)
			spec["suspend"] = true
			f.rayCluster("r", spec)
			f.pod("head", head)
			f.bind("n1", "head")
			f.advance(pastGrace)
		}, nil},
		"the RayCluster takes precedence over KubeRay's PodGroup": {func(f *judgeFixture) {
			f.coscheduling("r", map[string]any{"minMember": int64(9)})
			f.rayCluster("r", rayWith(map[string]any{"groupName": "gpu", "replicas": int64(1)}))
			f.pod("head", head, inCoscheduling("r"))
			f.bind("n1", append(f.members("w", 1, worker, inCoscheduling("r")), "head")...)
			f.advance(pastGrace)
		}, nil},
		"a Redis cleanup pod is in no gang": {func(f *judgeFixture) {
			f.rayCluster("r", rayWith(gpu))
			f.pod("cleanup", inRayCluster("r", "redis-cleanup", ""))
			f.bind("n1", "cleanup")
			f.advance(pastGrace)
		}, nil},
	})
}

func TestAllOrNothingOfLabelsAndJobs(t *testing.T) {
	four := map[string]any{"parallelism": int64(4), "completions": int64(6)}
	runJudgeCases(t, map[string]judgeCase{
		"all members of a gang by label": {func(f *judgeFixture) {
			f.bind("n1", f.members("a", 3, inGangOf("g", "3"))...)
			f.advance(pastGrace)
		}, nil},
		"a part of a gang by label": {func(f *judgeFixture) {
			names := f.members("a", 3, inGangOf("g", "3"))
			f.bind("n1", names[0], names[1])
			f.advance(pastGrace)
		}, []string{"I1: gang label ml/g: bound below its minimum (member 2 of 3), 10.1s after its last binding"}},
		"the largest minimum of a gang's pods counts": {func(f *judgeFixture) {
			f.pod("b", inGangOf("g", "3"))
			f.bind("n1", f.members("a", 2, inGangOf("g", "2"))...)
			f.advance(pastGrace)
		}, []string{"I1: gang label ml/g: bound below its minimum (member 2 of 3), 10.1s after its last binding"}},
		"the minimum of a pod that is being deleted does not count": {func(f *judgeFixture) {
			f.pod("b", inGangOf("g", "3"), terminating)
			f.bind("n1", f.members("a", 2, inGangOf("g", "2"))...)
			f.advance(pastGrace)
		}, nil},
		"bound pods that do not declare their gang's size": {func(f *judgeFixture) {
			f.bind("n1", f.members("a", 2, inGangOf("g", "all"))...)
			f.advance(pastGrace)
		}, []string{"I1: gang label ml/g: 2 pods are bound but no pod declares the size of the gang"}},
		"a part of a gang of a Job": {func(f *judgeFixture) {
			f.job("j", four, 0)
			names := f.members("a", 4, ofJob("j"))
			f.bind("n1", names[:3]...)
			f.advance(pastGrace)
		}, []string{"I1: gang Job ml/j: bound below its minimum (member 3 of 4), 10.1s after its last binding"}},
		"a Job needs only the completions that are left": {func(f *judgeFixture) {
			f.job("j", four, 4)
			f.bind("n1", f.members("a", 2, ofJob("j"))...)
			f.advance(pastGrace)
		}, nil},
		"succeeded pods of a Job do not replace running pods": {func(f *judgeFixture) {
			f.job("j", four, 2)
			names := f.members("a", 6, ofJob("j"))
			f.bind("n1", names[:2]...)
			f.edit(phase(v1.PodSucceeded), names[:2]...)
			f.bind("n1", names[2])
			f.advance(pastGrace)
		}, []string{"I1: gang Job ml/j: bound below its minimum (member 1 of 4), 10.1s after its last binding"}},
		"a Job without completions creates no pods after the first success": {func(f *judgeFixture) {
			f.job("j", map[string]any{"parallelism": int64(2)}, 1)
			f.bind("n1", f.members("a", 1, ofJob("j"))...)
			f.advance(pastGrace)
		}, nil},
		"a Job that does not request a gang": {func(f *judgeFixture) {
			f.job("j", four, 0)
			f.pod("a", ofJob("j"), func(p *v1.Pod) { p.Labels = nil })
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, nil},
		"a deleted Job is not judged": {func(f *judgeFixture) {
			f.job("j", four, 0)
			f.bind("n1", f.members("a", 1, ofJob("j"))...)
			f.job("j", nil, 0)
			f.advance(pastGrace)
		}, nil},
	})
}

func TestGangsOfOtherSchedulers(t *testing.T) {
	annotated := func(pairs ...string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Annotations = map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				p.Annotations[pairs[i]] = pairs[i+1]
			}
		}
	}
	labelled := func(pairs ...string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			for i := 0; i < len(pairs); i += 2 {
				p.Labels[pairs[i]] = pairs[i+1]
			}
		}
	}
	set := func(policy string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"namespace": "ml", "name": "s"}, "spec": map[string]any{"startupPolicy": policy},
		}}
	}
	half := func(f *judgeFixture, changes ...func(*v1.Pod)) {
		f.bind("n1", f.members("a", 4, changes...)[:2]...)
		f.advance(pastGrace)
	}
	lws := []func(*v1.Pod){annotated(lwsSize, "4"), labelled(lwsName, "s", lwsGroup, "0")}
	runJudgeCases(t, map[string]judgeCase{
		"a Volcano PodGroup": {func(f *judgeFixture) {
			f.declareObject("volcano", "g", map[string]any{"minMember": int64(4)}, f.volcanoChanged)
			half(f, annotated(volcanoGroup, "g"))
		}, []string{"I1: gang Volcano PodGroup ml/g: bound below its minimum (member 2 of 4), 10.1s after its last binding"}},
		"a YuniKorn application": {func(f *judgeFixture) {
			half(f, annotated(yuniKornGroup, "w", yuniKornGroups, `[{"name":"w","minMember":3}]`), labelled(yuniKornApp, "g"))
		}, []string{"I1: gang YuniKorn application ml/g: bound below its minimum (w 2 of 3), 10.1s after its last binding"}},
		"a Kueue pod group": {func(f *judgeFixture) {
			half(f, annotated(kueueTotal, "4"), labelled(kueueGroup, "g"))
		}, []string{"I1: gang Kueue pod group ml/g: bound below its minimum (member 2 of 4), 10.1s after its last binding"}},
		"a Kueue pod group with fast admission": {func(f *judgeFixture) {
			half(f, annotated(kueueTotal, "4", kueueFastAdmission, "true"), labelled(kueueGroup, "g"))
		}, nil},
		"a LeaderWorkerSet group": {func(f *judgeFixture) {
			f.leaderWorkerSetChanged(nil, set("LeaderCreated"), f.now)
			half(f, lws...)
		}, []string{"I1: gang LeaderWorkerSet group ml/s/0: bound below its minimum (member 2 of 4), 10.1s after its last binding"}},
		"a LeaderWorkerSet whose leader starts first": {func(f *judgeFixture) {
			f.leaderWorkerSetChanged(nil, set("LeaderReady"), f.now)
			half(f, lws...)
		}, nil},
	})
}
