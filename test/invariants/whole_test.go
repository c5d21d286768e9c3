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
	try(t, map[string]trial{
		"a gang bound whole within the grace is fine": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			names := c.members("a", 4, inCoschedulingGroup("g"))
			for _, name := range names {
				c.bind("n1", name)
				c.pass(9 * time.Second)
			}
			c.pass(patience)
		}, nil},
		"half a gang is reported once": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			c.members("a", 4, inCoschedulingGroup("g"))
			c.bind("n1", "a-0", "a-1")
			c.pass(5 * patience)
		}, []string{"I1: gang PodGroup ml/g: bound below its minimum (member 2 of 4), 10.1s after its last binding"}},
		"half a gang whose PodGroup is seen last is reported": {func(c *judgeFixture) {
			c.members("a", 4, inCoschedulingGroup("g"))
			c.bind("n1", "a-0")
			c.coschedulingGroup("g", four)
			c.pass(patience)
		}, []string{"I1: gang PodGroup ml/g: bound below its minimum (member 1 of 4), 10.1s after its last binding"}},
		"a gang without its PodGroup must wait": {func(c *judgeFixture) {
			c.members("a", 2, inCoschedulingGroup("g"))
			c.bind("n1", "a-0")
			c.pass(patience)
		}, []string{"I1: gang PodGroup ml/g: 1 pods are bound though there is no such PodGroup"}},
		"a whole gang may lose members": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			names := c.members("a", 4, inCoschedulingGroup("g"))
			c.bind("n1", names...)
			c.edit(phase(v1.PodFailed), "a-0")
			c.remove("a-1", "a-2")
			c.pass(patience)
		}, nil},
		"a gang that held nothing must become whole anew": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			names := c.members("a", 4, inCoschedulingGroup("g"))
			c.bind("n1", names...)
			c.remove(names...)
			c.members("a", 4, inCoschedulingGroup("g"))
			c.bind("n1", "a-3")
			c.pass(patience)
		}, []string{"I1: gang PodGroup ml/g: bound below its minimum (member 1 of 4), 10.1s after its last binding"}},
		"members that succeeded count": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			c.members("a", 4, inCoschedulingGroup("g"))
			c.bind("n1", "a-0", "a-1")
			c.edit(phase(v1.PodSucceeded), "a-0", "a-1")
			c.bind("n1", "a-2", "a-3")
			c.pass(patience)
		}, nil},
		"a minimum lowered in time makes it whole": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			c.members("a", 4, inCoschedulingGroup("g"))
			c.bind("n1", "a-0", "a-1")
			c.coschedulingGroup("g", map[string]any{"minMember": int64(2)})
			c.pass(patience)
		}, nil},
		"half a gang that is being deleted is fine": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			c.members("a", 4, inCoschedulingGroup("g"))
			c.bind("n1", "a-0", "a-1")
			c.edit(terminating, "a-0", "a-1", "a-2", "a-3")
			c.pass(patience)
		}, nil},
		"half a gang whose PodGroup is deleted is not judged": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			c.members("a", 4, inCoschedulingGroup("g"))
			c.bind("n1", "a-0", "a-1")
			c.coschedulingGroup("g", nil)
			c.pass(patience)
		}, nil},
		"another scheduler's pods are not judged": {func(c *judgeFixture) {
			c.coschedulingGroup("g", four)
			c.members("a", 4, inCoschedulingGroup("g"), func(p *v1.Pod) { p.Spec.SchedulerName = "default-scheduler" })
			c.bind("n1", "a-0")
			c.pass(patience)
		}, nil},
	})
}

func rayWith(groups ...any) map[string]any { return map[string]any{"workerGroupSpecs": groups} }

func TestAllOrNothingOfRayClusters(t *testing.T) {
	gpu := map[string]any{"groupName": "gpu", "replicas": int64(2), "numOfHosts": int64(2)}
	head, worker := inRayCluster("r", "head", "headgroup"), inRayCluster("r", "worker", "gpu")
	try(t, map[string]trial{
		"hosts count": {func(c *judgeFixture) {
			c.rayCluster("r", rayWith(gpu))
			c.pod("head", head)
			names := c.members("w", 4, worker)
			c.bind("n1", append(names[:3], "head")...)
			c.pass(patience)
		}, []string{"I1: gang RayCluster ml/r: bound below its minimum (gpu 3 of 4, headgroup 1 of 1), 10.1s after its last binding"}},
		"too many workers do not stand for the head": {func(c *judgeFixture) {
			c.rayCluster("r", rayWith(gpu))
			c.pod("head", head)
			c.bind("n1", c.members("w", 5, worker)...)
			c.pass(patience)
		}, []string{"I1: gang RayCluster ml/r: bound below its minimum (gpu 5 of 4, headgroup 0 of 1), 10.1s after its last binding"}},
		"an autoscaled cluster needs minReplicas only": {func(c *judgeFixture) {
			spec := rayWith(map[string]any{"groupName": "gpu", "replicas": int64(3), "minReplicas": int64(1)})
			spec["enableInTreeAutoscaling"] = true
			c.rayCluster("r", spec)
			c.pod("head", head)
			names := c.members("w", 3, worker)
			c.bind("n1", "head", names[0])
			c.pass(patience)
		}, nil},
		"replicas are clamped, suspended groups need nobody": {func(c *judgeFixture) {
			c.rayCluster("r", rayWith(
				map[string]any{"groupName": "gpu", "replicas": int64(9), "maxReplicas": int64(2)},
				map[string]any{"groupName": "cpu", "replicas": int64(1), "suspend": true}))
			c.pod("head", head)
			c.bind("n1", append(c.members("w", 2, worker), "head")...)
			c.pass(patience)
		}, nil},
		"a suspended cluster is no gang": {func(c *judgeFixture) {
			spec := rayWith(gpu)
			spec["suspend"] = true
			c.rayCluster("r", spec)
			c.pod("head", head)
			c.bind("n1", "head")
			c.pass(patience)
		}, nil},
		"the RayCluster wins over the PodGroup that KubeRay made once": {func(c *judgeFixture) {
			c.coschedulingGroup("r", map[string]any{"minMember": int64(9)})
			c.rayCluster("r", rayWith(map[string]any{"groupName": "gpu", "replicas": int64(1)}))
			c.pod("head", head, inCoschedulingGroup("r"))
			c.bind("n1", append(c.members("w", 1, worker, inCoschedulingGroup("r")), "head")...)
			c.pass(patience)
		}, nil},
		"a Redis cleanup pod is in no gang": {func(c *judgeFixture) {
			c.rayCluster("r", rayWith(gpu))
			c.pod("cleanup", inRayCluster("r", "redis-cleanup", ""))
			c.bind("n1", "cleanup")
			c.pass(patience)
		}, nil},
	})
}

func TestAllOrNothingOfLabelsAndJobs(t *testing.T) {
	four := map[string]any{"parallelism": int64(4), "completions": int64(6)}
	try(t, map[string]trial{
		"a gang by label that is bound whole is fine": {func(c *judgeFixture) {
			c.bind("n1", c.members("a", 3, inGangOf("g", "3"))...)
			c.pass(patience)
		}, nil},
		"half a gang by label is reported": {func(c *judgeFixture) {
			names := c.members("a", 3, inGangOf("g", "3"))
			c.bind("n1", names[0], names[1])
			c.pass(patience)
		}, []string{"I1: gang label ml/g: bound below its minimum (member 2 of 3), 10.1s after its last binding"}},
		"the pod that asks for most is believed": {func(c *judgeFixture) {
			c.pod("b", inGangOf("g", "3"))
			c.bind("n1", c.members("a", 2, inGangOf("g", "2"))...)
			c.pass(patience)
		}, []string{"I1: gang label ml/g: bound below its minimum (member 2 of 3), 10.1s after its last binding"}},
		"but not one that is on its way out": {func(c *judgeFixture) {
			c.pod("b", inGangOf("g", "3"), terminating)
			c.bind("n1", c.members("a", 2, inGangOf("g", "2"))...)
			c.pass(patience)
		}, nil},
		"pods of which none says how many they are must wait": {func(c *judgeFixture) {
			c.bind("n1", c.members("a", 2, inGangOf("g", "all"))...)
			c.pass(patience)
		}, []string{"I1: gang label ml/g: 2 pods are bound though none says how many belong to it"}},
		"half a gang of a Job is reported": {func(c *judgeFixture) {
			c.job("j", four, 0)
			names := c.members("a", 4, ofJob("j"))
			c.bind("n1", names[:3]...)
			c.pass(patience)
		}, []string{"I1: gang Job ml/j: bound below its minimum (member 3 of 4), 10.1s after its last binding"}},
		"those that are left to complete are the whole": {func(c *judgeFixture) {
			c.job("j", four, 4)
			c.bind("n1", c.members("a", 2, ofJob("j"))...)
			c.pass(patience)
		}, nil},
		"those that are complete do not stand in for others": {func(c *judgeFixture) {
			c.job("j", four, 2)
			names := c.members("a", 6, ofJob("j"))
			c.bind("n1", names[:2]...)
			c.edit(phase(v1.PodSucceeded), names[:2]...)
			c.bind("n1", names[2])
			c.pass(patience)
		}, []string{"I1: gang Job ml/j: bound below its minimum (member 1 of 4), 10.1s after its last binding"}},
		"a Job without completions makes no new pods once one is complete": {func(c *judgeFixture) {
			c.job("j", map[string]any{"parallelism": int64(2)}, 1)
			c.bind("n1", c.members("a", 1, ofJob("j"))...)
			c.pass(patience)
		}, nil},
		"a Job that does not ask for a gang is none": {func(c *judgeFixture) {
			c.job("j", four, 0)
			c.pod("a", ofJob("j"), func(p *v1.Pod) { p.Labels = nil })
			c.bind("n1", "a")
			c.pass(patience)
		}, nil},
		"a Job that is gone is not judged": {func(c *judgeFixture) {
			c.job("j", four, 0)
			c.bind("n1", c.members("a", 1, ofJob("j"))...)
			c.job("j", nil, 0)
			c.pass(patience)
		}, nil},
	})
}
