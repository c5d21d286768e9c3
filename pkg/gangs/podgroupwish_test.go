// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// template returns a pod template, with the label that requests a PodGroup if asks is true.
func template(asks bool, priorityClass, scheduler string) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{Spec: corev1.PodSpec{PriorityClassName: priorityClass, SchedulerName: scheduler}}
	if asks {
		t.Labels = map[string]string{gangs.MakePodGroupLabel: "true"}
	}
	return t
}

func TestPodGroupOfARayCluster(t *testing.T) {
	asking := func() *rayv1.RayCluster {
		c := rayCluster(workers("gpu", 2), workers("cpu", 1))
		c.Spec.HeadGroupSpec.Template = template(true, "high", "dovetail")
		for i := range c.Spec.WorkerGroupSpecs {
			c.Spec.WorkerGroupSpecs[i].Template = template(true, "high", "dovetail")
		}
		return c
	}
	tests := map[string]struct {
		change func(*rayv1.RayCluster)
		want   gangs.PodGroupWish
	}{
		"all templates ask": {func(*rayv1.RayCluster) {}, gangs.PodGroupWish{Asked: true, PriorityClass: "high"}},
		"none asks":         {func(c *rayv1.RayCluster) { *c = *rayCluster(workers("gpu", 2)) }, gangs.PodGroupWish{}},
		"another value does not ask": {func(c *rayv1.RayCluster) {
			*c = *rayCluster()
			c.Spec.HeadGroupSpec.Template.Labels = map[string]string{gangs.MakePodGroupLabel: "false"}
		}, gangs.PodGroupWish{}},
		"a group's own labels win": {func(c *rayv1.RayCluster) {
			c.Spec.WorkerGroupSpecs[0].Template.Labels = map[string]string{gangs.MakePodGroupLabel: "false"}
			c.Spec.WorkerGroupSpecs[0].Labels = map[string]string{gangs.MakePodGroupLabel: "true"}
		}, gangs.PodGroupWish{Asked: true, PriorityClass: "high"}},
		"one template does not ask": {func(c *rayv1.RayCluster) { c.Spec.WorkerGroupSpecs[1].Template.Labels = nil },
			gangs.PodGroupWish{Asked: true, PriorityClass: "high",
				Problem: "label dovetail.dev/native-gang=true must stand on all pod templates of raycluster ml/a or on none: it does on that of the head, and not on that of worker group cpu"}},
		"priorities differ": {func(c *rayv1.RayCluster) { c.Spec.WorkerGroupSpecs[1].Template.Spec.PriorityClassName = "low" },
			gangs.PodGroupWish{Asked: true, PriorityClass: "high",
				Problem: `pod templates of raycluster ml/a differ in spec.priorityClassName, which must be the same in all pods of a PodGroup: "high" in that of the head, "low" in that of worker group cpu`}},
		"schedulers differ": {func(c *rayv1.RayCluster) { c.Spec.WorkerGroupSpecs[0].Template.Spec.SchedulerName = "" },
			gangs.PodGroupWish{Asked: true, PriorityClass: "high",
				Problem: `pod templates of raycluster ml/a differ in spec.schedulerName, which must be the same in all pods of a PodGroup: "dovetail" in that of the head, "" in that of worker group gpu`}},
		"suspended":      {func(c *rayv1.RayCluster) { c.Spec.Suspend = ptr(true) }, gangs.PodGroupWish{Asked: true, Resting: true, PriorityClass: "high"}},
		"on its way out": {func(c *rayv1.RayCluster) { c.DeletionTimestamp = &c.CreationTimestamp }, gangs.PodGroupWish{Asked: true, Resting: true, PriorityClass: "high"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cluster := asking()
			tc.change(cluster)
			if diff := cmp.Diff(tc.want, gangs.RayClusterPodGroup(cluster)); diff != "" {
				t.Errorf("wish (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestPodGroupOfAJobSet(t *testing.T) {
	const exclusive = "alpha.jobset.sigs.k8s.io/exclusive-topology"
	asks := func(j gangs.ReplicatedJob) gangs.ReplicatedJob {
		j.Template.Spec.Template = template(true, "", "dovetail")
		return j
	}
	alone := replicated("alone", 2, 4)
	alone.Template.Annotations = map[string]string{exclusive: "rack"}
	tests := map[string]struct {
		set  *gangs.JobSet
		want gangs.PodGroupWish
	}{
		"all ask":   {jobSet(asks(replicated("a", 2, 4)), asks(replicated("b", 1, 1))), gangs.PodGroupWish{Asked: true}},
		"none asks": {jobSet(replicated("a", 2, 4)), gangs.PodGroupWish{}},
		"initialisers are not asked": {jobSet(replicated("model-initializer", 1, 1), asks(replicated("node", 1, 4))),
			gangs.PodGroupWish{Asked: true}},
		"nor are pods with exclusive placement": {jobSet(alone, asks(replicated("b", 1, 4))), gangs.PodGroupWish{Asked: true}},
		"ended":                                 {endedBy(jobSet(asks(replicated("a", 2, 4))), "Completed"), gangs.PodGroupWish{Asked: true, Resting: true}},
		"one does not ask": {jobSet(asks(replicated("a", 2, 4)), replicated("b", 1, 1)), gangs.PodGroupWish{Asked: true,
			Problem: "label dovetail.dev/native-gang=true must stand on all pod templates of jobset ml/a or on none: it does on that of replicatedJob a, and not on that of replicatedJob b"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, gangs.JobSetPodGroup(tc.set)); diff != "" {
				t.Errorf("wish (-want,+got):\n%s", diff)
			}
		})
	}
}

// The API accepts the name of a group for every owner name, and no two owners share a name.
func TestPodGroupNames(t *testing.T) {
	const uid, other = types.UID("0d5e6b1c-6f0e-4f2c-9d3b-0c9f6c2f3b1a"), types.UID("1d5e6b1c-6f0e-4f2c-9d3b-0c9f6c2f3b1a")
	long := strings.Repeat("a", 253)
	owners := map[string]string{
		"train":                          "train-" + string(uid),
		"team.train":                     "team-train-" + string(uid),
		long:                             long[:216] + "-" + string(uid),
		strings.Repeat("a.", 126) + "a":  strings.Repeat("a-", 108) + "-" + string(uid),
		strings.Repeat("a", 215) + ".bc": strings.Repeat("a", 215) + "--" + string(uid),
	}
	for owner, want := range owners {
		got := gangs.PodGroupName(owner, uid)
		if got != want {
			t.Errorf("group of %s is called %s, want %s", owner, got, want)
		}
		if wrong := validation.IsDNS1123Subdomain(got); len(wrong) > 0 {
			t.Errorf("%s is no name: %v", got, wrong)
		}
		if got == gangs.PodGroupName(owner, other) {
			t.Errorf("two owners called %s share group %s", owner, got)
		}
	}
}
