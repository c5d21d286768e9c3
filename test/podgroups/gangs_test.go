// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// A gang whose PodGroup requires one value of a label that is a level, of one that
// is none, or of a level by annotation, gets it; larger than a domain, it waits.
func TestTopologyKeys(t *testing.T) {
	e := newEnv(t)
	const room = "example.com/room"
	list, err := e.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, node := range list.Items {
		patch := fmt.Sprintf(`{"metadata":{"labels":{%q:"room-%d"}}}`, room, i%3)
		if _, err := e.Client.CoreV1().Nodes().Patch(t.Context(), node.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	byAnnotation := func(group *schedulingv1beta1.PodGroup) {
		group.Annotations = map[string]string{"dovetail.dev/topology-required": "leaf"}
	}
	for name, test := range map[string]struct {
		label string
		size  int
		wish  func(*schedulingv1beta1.PodGroup)
	}{
		"level":      {fleet.LabelLeaf, perLeaf, key(fleet.LabelLeaf)},
		"label":      {room, nodes / 3, key(room)},
		"annotation": {fleet.LabelLeaf, perLeaf, byAnnotation},
	} {
		t.Run(name, func(t *testing.T) {
			e := inCluster(t, e.Cluster)
			e.group(name, int32(test.size), test.wish)
			e.members(name, 0, test.size)
			e.Whole(of(name), test.size)
			if got := e.Domains(of(name), test.label); len(got) != 1 {
				t.Errorf("the gang stands in %v, want one domain", got)
			}
			e.group("large", int32(2*test.size), test.wish)
			e.members("large", 0, 2*test.size)
			e.refused("large", 2*test.size, "gang schedulinggroup "+e.Namespace+"/large: ")
		})
	}
}

// Beside the API's key there are wishes by annotation: a level that is preferred within
// the one required, and a second one required. What is preferred is given up if there
// is no room, what is required is not.
func TestWishesBesideTheKey(t *testing.T) {
	e := newEnv(t)
	wish := func(annotation string) func(*schedulingv1beta1.PodGroup) {
		return func(group *schedulingv1beta1.PodGroup) {
			group.Annotations = map[string]string{"dovetail.dev/topology-" + annotation: "leaf"}
		}
	}
	e.group("one", perLeaf-1, key(fleet.LabelSpine), wish("preferred"))
	e.members("one", 0, perLeaf-1)
	e.Whole(of("one"), perLeaf-1)
	if got := e.Domains(of("one"), fleet.LabelLeaf); len(got) != 1 {
		t.Errorf("a leaf had room, and the gang stands in %v", got)
	}
	e.group("two", 2*perLeaf, key(fleet.LabelSpine), wish("preferred"))
	e.members("two", 0, 2*perLeaf)
	e.Whole(of("two"), 2*perLeaf)
	if got := e.Domains(of("two"), fleet.LabelSpine); len(got) != 1 {
		t.Errorf("the gang stands in spines %v, want one", got)
	}
	e.group("three", perLeaf+1, key(fleet.LabelSpine), wish("required"))
	e.members("three", 0, perLeaf+1)
	e.refused("three", perLeaf+1, "gang schedulinggroup "+e.Namespace+"/three: ")
}

// Without a gang policy pods start one by one.
func TestBasicPolicy(t *testing.T) {
	e := newEnv(t)
	e.group("basic", 0)
	e.members("basic", 0, nodes+1)
	e.UntilBound(of("basic"), nodes)
}

// A gang that is too large starts when its minimum falls, and a late member joins it.
func TestMinChangesAndLateMember(t *testing.T) {
	e := newEnv(t)
	e.group("train", nodes+1)
	e.members("train", 0, nodes+1)
	e.refused("train", nodes+1, fmt.Sprintf("gang schedulinggroup %s/train: %d of %d members fit", e.Namespace, nodes, nodes+1))
	patch := fmt.Sprintf(`{"spec":{"schedulingPolicy":{"gang":{"minCount":%d}}}}`, nodes-1)
	if _, err := e.Client.SchedulingV1beta1().PodGroups(e.Namespace).Patch(t.Context(), "train", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	e.UntilBound(of("train"), nodes)
	e.Eventually("the PodGroup is scheduled", func() bool { return e.condition("train", metav1.ConditionTrue) != "" })

	e.RemovePods(of("train"))
	e.Gone("")
	e.group("late", 3)
	e.members("late", 0, 3)
	e.Whole(of("late"), 3)
	e.members("late", 3, 4)
	e.Whole(of("late"), 4)
}

// A Job asks for a gang in its own spec, and its controller makes the PodGroup.
func TestJobWithGangPolicy(t *testing.T) {
	e := newEnv(t)
	create := func(name string, size int32) {
		job := &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: batchv1.JobSpec{
				Parallelism: &size, Completions: &size,
				Scheduling: &batchv1.JobSchedulingConfiguration{
					SchedulingPolicy: &schedulingv1alpha3.WorkloadPodGroupSchedulingPolicy{Gang: &schedulingv1alpha3.WorkloadPodGroupGangSchedulingPolicy{}},
				},
				Template: corev1.PodTemplateSpec{Spec: podSpec()},
			},
		}
		if _, err := e.Client.BatchV1().Jobs(e.Namespace).Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
			t.Fatalf("creating Job %s: %v", name, err)
		}
	}
	create("large", nodes+1)
	e.Eventually("the large Job's pods say why they wait", func() bool {
		for _, pod := range e.Pods("batch.kubernetes.io/job-name=large") {
			if harness.Unschedulable(&pod) != "" {
				return true
			}
		}
		return false
	})
	create("small", nodes)
	e.Whole("batch.kubernetes.io/job-name=small", nodes)
	if n := e.Bound("batch.kubernetes.io/job-name=large"); n != 0 {
		t.Errorf("%d pods of a gang that does not fit are bound", n)
	}
}
