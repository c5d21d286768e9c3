// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

func TestAllOrNothing(t *testing.T) {
	four := map[string]any{"minMember": int64(4)}
	runJudgeCases(t, map[string]judgeCase{
		"a gang bound whole within the grace is fine": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			names := f.members("a", 4, inCoscheduling("g"))
			for _, name := range names {
				f.bind("n1", name)
				f.advance(9 * time.Second)
			}
			f.advance(pastGrace)
		}, nil},
		"half a gang is reported once": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", "a-0", "a-1")
			f.advance(5 * pastGrace)
		}, []string{"I1: gang PodGroup ml/g: bound below its minimum (member 2 of 4), 10.1s after its last binding"}},
		"half a gang whose PodGroup is seen last is reported": {func(f *judgeFixture) {
			f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", "a-0")
			f.coscheduling("g", four)
			f.advance(pastGrace)
		}, []string{"I1: gang PodGroup ml/g: bound below its minimum (member 1 of 4), 10.1s after its last binding"}},
		"a gang without its PodGroup must wait": {func(f *judgeFixture) {
			f.members("a", 2, inCoscheduling("g"))
			f.bind("n1", "a-0")
			f.advance(pastGrace)
		}, []string{"I1: gang PodGroup ml/g: 1 pods are bound though there is no such PodGroup"}},
		"a whole gang may lose members": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			names := f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", names...)
			f.edit(phase(v1.PodFailed), "a-0")
			f.remove("a-1", "a-2")
			f.advance(pastGrace)
		}, nil},
		"a gang that held nothing must become whole anew": {func(f *judgeFixture) {
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
		"half a gang that is being deleted is fine": {func(f *judgeFixture) {
			f.coscheduling("g", four)
			f.members("a", 4, inCoscheduling("g"))
			f.bind("n1", "a-0", "a-1")
			f.edit(terminating, "a-0", "a-1", "a-2", "a-3")
			f.advance(pastGrace)
		}, nil},
		"half a gang whose PodGroup is deleted is not judged": {func(f *judgeFixture) {
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
		"hosts count": {func(f *judgeFixture) {
			f.rayCluster("r", rayWith(gpu))
			f.pod("head", head)
			names := f.members("w", 4, worker)
			f.bind("n1", append(names[:3], "head")...)
			f.advance(pastGrace)
		}, []string{"I1: gang RayCluster ml/r: bound below its minimum (gpu 3 of 4, headgroup 1 of 1), 10.1s after its last binding"}},
		"too many workers do not stand for the head": {func(f *judgeFixture) {
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
		"replicas are clamped, suspended groups need nobody": {func(f *judgeFixture) {
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
		"the RayCluster wins over the PodGroup that KubeRay made once": {func(f *judgeFixture) {
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
		"a gang by label that is bound whole is fine": {func(f *judgeFixture) {
			f.bind("n1", f.members("a", 3, inGangOf("g", "3"))...)
			f.advance(pastGrace)
		}, nil},
		"half a gang by label is reported": {func(f *judgeFixture) {
			names := f.members("a", 3, inGangOf("g", "3"))
			f.bind("n1", names[0], names[1])
			f.advance(pastGrace)
		}, []string{"I1: gang label ml/g: bound below its minimum (member 2 of 3), 10.1s after its last binding"}},
		"the pod that asks for most is believed": {func(f *judgeFixture) {
			f.pod("b", inGangOf("g", "3"))
			f.bind("n1", f.members("a", 2, inGangOf("g", "2"))...)
			f.advance(pastGrace)
		}, []string{"I1: gang label ml/g: bound below its minimum (member 2 of 3), 10.1s after its last binding"}},
		"but not one that is on its way out": {func(f *judgeFixture) {
			f.pod("b", inGangOf("g", "3"), terminating)
			f.bind("n1", f.members("a", 2, inGangOf("g", "2"))...)
			f.advance(pastGrace)
		}, nil},
		"pods of which none says how many they are must wait": {func(f *judgeFixture) {
			f.bind("n1", f.members("a", 2, inGangOf("g", "all"))...)
			f.advance(pastGrace)
		}, []string{"I1: gang label ml/g: 2 pods are bound though none says how many belong to it"}},
		"half a gang of a Job is reported": {func(f *judgeFixture) {
			f.job("j", four, 0)
			names := f.members("a", 4, ofJob("j"))
			f.bind("n1", names[:3]...)
			f.advance(pastGrace)
		}, []string{"I1: gang Job ml/j: bound below its minimum (member 3 of 4), 10.1s after its last binding"}},
		"those that are left to complete are the whole": {func(f *judgeFixture) {
			f.job("j", four, 4)
			f.bind("n1", f.members("a", 2, ofJob("j"))...)
			f.advance(pastGrace)
		}, nil},
		"those that are complete do not stand in for others": {func(f *judgeFixture) {
			f.job("j", four, 2)
			names := f.members("a", 6, ofJob("j"))
			f.bind("n1", names[:2]...)
			f.edit(phase(v1.PodSucceeded), names[:2]...)
			f.bind("n1", names[2])
			f.advance(pastGrace)
		}, []string{"I1: gang Job ml/j: bound below its minimum (member 1 of 4), 10.1s after its last binding"}},
		"a Job without completions makes no new pods once one is complete": {func(f *judgeFixture) {
			f.job("j", map[string]any{"parallelism": int64(2)}, 1)
			f.bind("n1", f.members("a", 1, ofJob("j"))...)
			f.advance(pastGrace)
		}, nil},
		"a Job that does not ask for a gang is none": {func(f *judgeFixture) {
			f.job("j", four, 0)
			f.pod("a", ofJob("j"), func(p *v1.Pod) { p.Labels = nil })
			f.bind("n1", "a")
			f.advance(pastGrace)
		}, nil},
		"a Job that is gone is not judged": {func(f *judgeFixture) {
			f.job("j", four, 0)
			f.bind("n1", f.members("a", 1, ofJob("j"))...)
			f.job("j", nil, 0)
			f.advance(pastGrace)
		}, nil},
	})
}
