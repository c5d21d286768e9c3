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
	e.whole("ray.io/cluster=train", 5)
	if leaves := e.domains("ray.io/group=workers", fleet.LabelLeaf); len(leaves) != 1 {
		t.Errorf("the workers are on leaves %v, want one leaf", leaves)
	}
	e.eventually("the RayCluster is ready", func() bool { return e.rayReady("train") })
}

func TestRequiredLevelThatIsTooSmallBindsNothing(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.rayCluster(newRayCluster("wide", 5, annotated(levelRequired, "leaf")))
	e.refused("ray.io/cluster=wide", 6, "gang "+e.ns+"/wide: ")
}

func TestPreferredLevelFallsBackToTheNextOne(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.rayCluster(newRayCluster("wide", 6, annotated(levelWanted, "leaf")))
	e.whole("ray.io/cluster=wide", 7)
	if spines := e.domains("ray.io/group=workers", fleet.LabelSpine); len(spines) != 1 {
		t.Errorf("the workers are on spines %v, want one spine", spines)
	}
}

// KubeRay in its scheduler-plugins mode makes a PodGroup, labels the pods with
// it, and forces another schedulerName on them.
func TestKubeRayInSchedulerPluginsMode(t *testing.T) {
	e := onOwn(t, localcluster.Options{
		Fleets:                []fleet.Spec{fleet.Default()},
		KubeRayBatchScheduler: "scheduler-plugins",
	})
	e.claimTemplate()
	e.rayCluster(newRayCluster("train", 4, labelled("ray.io/gang-scheduling-enabled", "true")))
	e.whole("ray.io/cluster=train", 5)
	for _, pod := range e.pods("ray.io/cluster=train") {
		if pod.Spec.SchedulerName != "scheduler-plugins-scheduler" || pod.Labels[groupLabel] != "train" {
			t.Errorf("pod %s: scheduler %s, group %q: KubeRay is not in its scheduler-plugins mode",
				pod.Name, pod.Spec.SchedulerName, pod.Labels[groupLabel])
		}
	}
	if leaves := e.domains("ray.io/group=workers", fleet.LabelLeaf); len(leaves) != 1 {
		t.Errorf("the workers are on leaves %v, want one leaf", leaves)
	}
	e.rayCluster(newRayCluster("toolarge", 13, labelled("ray.io/gang-scheduling-enabled", "true")))
	e.refused("ray.io/cluster=toolarge", 14, "gang "+e.ns+"/toolarge: ")
	e.remove(rayClusters, "train")
	e.whole("ray.io/cluster=toolarge", 14)
}

func TestAutoscaledWorkersJoinTheirGang(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	cluster := newRayCluster("elastic", 2)
	autoscaling, most := true, int32(4)
	cluster.Spec.EnableInTreeAutoscaling = &autoscaling
	cluster.Spec.WorkerGroupSpecs[0].MaxReplicas = &most
	e.rayCluster(cluster)
	e.whole("ray.io/cluster=elastic", 3)
	e.updateRayCluster("elastic", func(c *rayv1.RayCluster) { c.Spec.WorkerGroupSpecs[0].Replicas = &most })
	e.whole("ray.io/cluster=elastic", 5)
	if leaves := e.domains("ray.io/group=workers", fleet.LabelLeaf); len(leaves) != 1 {
		t.Errorf("the workers are on leaves %v, want the late ones beside the first ones", leaves)
	}
}

func TestPodsWithoutAGangAreScheduled(t *testing.T) {
	e := onGPUs(t)
	e.claimTemplate()
	e.create(newPod("plain"), newPod("device", withDevices))
	e.whole("", 2)
}
