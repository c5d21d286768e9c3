// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

func TestRayClusterGoesToOneLeaf(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.rayCluster(newRayCluster("train", 4))
	e.Whole("ray.io/cluster=train", 5)
	if leaves := e.Domains("ray.io/group=workers", fleet.LabelLeaf); len(leaves) != 1 {
		t.Errorf("the workers are on leaves %v, want one leaf", leaves)
	}
	e.Eventually("the RayCluster is ready", func() bool { return e.rayReady("train") })
}

func TestRequiredLevelThatIsTooSmallBindsNothing(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.rayCluster(newRayCluster("wide", 5, annotated(levelRequired, "leaf")))
	e.Refused("ray.io/cluster=wide", 6, "gang raycluster "+e.Namespace+"/wide: ")
}

func TestPreferredLevelFallsBackToTheNextOne(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.rayCluster(newRayCluster("wide", 6, annotated(levelWanted, "leaf")))
	e.Whole("ray.io/cluster=wide", 7)
	if spines := e.Domains("ray.io/group=workers", fleet.LabelSpine); len(spines) != 1 {
		t.Errorf("the workers are on spines %v, want one spine", spines)
	}
}

// KubeRay in its scheduler-plugins mode creates a PodGroup, labels the pods with it, and
// overrides their schedulerName.
func TestKubeRayInSchedulerPluginsMode(t *testing.T) {
	e := onOwn(t, localcluster.Options{
		Fleets:                []fleet.Spec{fleet.Default()},
		KubeRayBatchScheduler: "scheduler-plugins",
		Without:               []string{localcluster.Scheduler},
	})
	e.claimTemplate()
	e.rayCluster(newRayCluster("train", 4, labelled("ray.io/gang-scheduling-enabled", "true")))
	e.Whole("ray.io/cluster=train", 5)
	for _, pod := range e.Pods("ray.io/cluster=train") {
		if pod.Spec.SchedulerName != "scheduler-plugins-scheduler" || pod.Labels[groupLabel] != "train" {
			t.Errorf("pod %s: scheduler %s, group %q: KubeRay is not in its scheduler-plugins mode",
				pod.Name, pod.Spec.SchedulerName, pod.Labels[groupLabel])
		}
	}
	if leaves := e.Domains("ray.io/group=workers", fleet.LabelLeaf); len(leaves) != 1 {
		t.Errorf("the workers are on leaves %v, want one leaf", leaves)
	}
	e.rayCluster(newRayCluster("toolarge", 13, labelled("ray.io/gang-scheduling-enabled", "true")))
	e.Refused("ray.io/cluster=toolarge", 14, "gang raycluster "+e.Namespace+"/toolarge: ")
	e.remove(rayClusters, "train")
	e.Whole("ray.io/cluster=toolarge", 14)
}

func TestAutoscaledWorkersJoinTheirGang(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	cluster := newRayCluster("elastic", 2)
	cluster.Spec.EnableInTreeAutoscaling = new(true)
	cluster.Spec.WorkerGroupSpecs[0].MaxReplicas = new(int32(6))
	e.rayCluster(cluster)
	e.Whole("ray.io/cluster=elastic", 3)
	leaf := e.leafOf("ray.io/group=workers")
	scale := func(replicas int, goes ...string) {
		e.updateRayCluster("elastic", func(c *rayv1.RayCluster) {
			group := &c.Spec.WorkerGroupSpecs[0]
			group.Replicas, group.ScaleStrategy.WorkersToDelete = new(int32(replicas)), goes
		})
		e.Whole("ray.io/cluster=elastic", replicas+1)
	}
	scale(6)
	if leaves := e.Domains("ray.io/group=workers", fleet.LabelLeaf); leaves[leaf] != 4 || len(leaves) != 2 {
		t.Errorf("the workers are on leaves %v, want the late ones on %s while it has room", leaves, leaf)
	}
	if spines := e.Domains("ray.io/group=workers", fleet.LabelSpine); len(spines) != 1 {
		t.Errorf("the workers are on spines %v, want those for which the leaf has no room beside it", spines)
	}
	var goes []string
	for _, pod := range e.Pods("ray.io/group=workers")[:3] {
		goes = append(goes, pod.Name)
	}
	scale(3, goes...)
}

func TestPodsWithoutAGangAreScheduled(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.createPods(newPod("plain"), newPod("device", withDevices))
	e.Whole("", 2)
}
