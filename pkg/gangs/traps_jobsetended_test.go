// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// counted returns a JobSet with what its status says.
func counted(set *gangs.JobSet, restarts int32, jobs ...gangs.ReplicatedJobStatus) *gangs.JobSet {
	set.Status.Restarts, set.Status.ReplicatedJobsStatus = restarts, jobs
	return set
}

func endedBy(set *gangs.JobSet, condition string) *gangs.JobSet {
	set.Status.Conditions = append(set.Status.Conditions, metav1.Condition{Type: condition, Status: metav1.ConditionTrue})
	return set
}

// attempt marks a pod as one of that attempt of its JobSet.
func attempt(n string) change { return label("jobset.sigs.k8s.io/restart-attempt", n) }

func TestTrapJobSetDonePods(t *testing.T) {
	three := func(succeeded int32) objects {
		return objects{jobSets: with("a", counted(jobSet(replicated("w", 3, 2)), 0, gangs.ReplicatedJobStatus{Name: "w", Succeeded: succeeded}))}
	}
	last := []*corev1.Pod{jobSetPod("w", 2, 0), jobSetPod("w", 2, 1)}
	play(t, map[string]scene{
		"complete Jobs without pods are done": {
			objects: three(2),
			pods:    last,
			want:    startsOf("jobset", "w", 2),
		},
		"with their pods they are done once": {
			objects: three(2),
			pods:    together(jobSetPods("w", 2, 2, succeeded), last),
			want:    startsOf("jobset", "w", 2),
		},
		"with some of their pods too": {
			objects: three(2),
			pods:    together([]*corev1.Pod{jobSetPod("w", 0, 1, succeeded)}, last),
			want:    startsOf("jobset", "w", 2),
		},
		"a pod that is done in a Job that is not counts as one of that Job": {
			objects: three(2),
			pods:    []*corev1.Pod{jobSetPod("w", 2, 0, succeeded), jobSetPod("w", 2, 1)},
			want:    startsOf("jobset", "w", 1),
		},
		"and stands in for none of another": {
			objects: three(1),
			pods:    []*corev1.Pod{jobSetPod("w", 1, 0, succeeded), jobSetPod("w", 1, 1), jobSetPod("w", 2, 0)},
			want:    waitsIn("jobset", "waiting for 1 of 4 members of jobset ml/a: 1 of role w do not exist yet"),
		},
	})
}

func TestTrapJobSetRestart(t *testing.T) {
	first, second := attempt("0"), attempt("1")
	set := func(restarts, succeeded, failed int32) objects {
		return objects{jobSets: with("a", counted(jobSet(replicated("w", 2, 2)), restarts,
			gangs.ReplicatedJobStatus{Name: "w", Succeeded: succeeded, Failed: failed}))}
	}
	half := waitsIn("jobset", "waiting for 2 of 4 members of jobset ml/a: 2 of role w do not exist yet")
	group := podGroup(5)
	group.OwnerReferences = []metav1.OwnerReference{{APIVersion: "trainer.kubeflow.org/v1alpha1", Kind: "TrainJob", Name: "a", Controller: ptr(true)}}
	train := set(1, 0, 0)
	train.groups = map[string]*schedv1alpha1.PodGroup{"ml/a": group}
	play(t, map[string]scene{
		"pods of the former attempt that run hold nobody's place": {
			objects: set(1, 0, 0),
			pods:    together(jobSetPods("w", 1, 2, second), []*corev1.Pod{jobSetPod("w", 1, 0, first, bound), jobSetPod("w", 1, 1, first, bound)}),
			want:    half,
		},
		"nor do those that wait": {
			objects: set(1, 0, 0),
			pods:    together(jobSetPods("w", 1, 2, second), []*corev1.Pod{jobSetPod("w", 1, 0, first), jobSetPod("w", 1, 1, first)}),
			want:    half,
		},
		"nor those that are done": {
			objects: set(1, 0, 0),
			pods:    together(jobSetPods("w", 1, 2, second), []*corev1.Pod{jobSetPod("w", 1, 0, first, succeeded), jobSetPod("w", 1, 1, first, succeeded)}),
			want:    half,
		},
		"the new attempt starts whole beside them": {
			objects: set(1, 0, 0),
			pods:    together(jobSetPods("w", 2, 2, second), []*corev1.Pod{jobSetPod("w", 1, 0, first, bound)}),
			want:    startsOf("jobset", "w", 4),
		},
		"pods of an attempt that the status does not show yet wait": {
			objects: set(0, 0, 0),
			pods:    together(jobSetPods("w", 1, 2, second), []*corev1.Pod{jobSetPod("w", 1, 0, first), jobSetPod("w", 1, 1, first)}),
			want:    half,
		},
		"pods that name no attempt are of this one": {
			objects: set(1, 0, 0),
			pods:    jobSetPods("w", 2, 2),
			want:    startsOf("jobset", "w", 4),
		},
		"Jobs that were complete in the former attempt are made anew": {
			objects: set(1, 1, 1),
			pods:    jobSetPods("w", 1, 2, second),
			want:    half,
		},
		"Jobs that are complete in this attempt are done": {
			objects: set(1, 1, 0),
			pods:    []*corev1.Pod{jobSetPod("w", 1, 0, second), jobSetPod("w", 1, 1, second)},
			want:    startsOf("jobset", "w", 2),
		},
		"a TrainJob's too": {
			objects: train,
			pods:    together(jobSetPods("w", 2, 2, second, inGroup("a")), []*corev1.Pod{jobSetPod("w", 1, 0, first, bound, inGroup("a"))}),
			want:    startsOf("podgroup", "w", 4),
		},
	})
}

func TestTrapJobSetEnded(t *testing.T) {
	leads := func(status ...gangs.ReplicatedJobStatus) *gangs.JobSet {
		return counted(jobSet(replicated("lead", 1, 1), replicated("w", 2, 2)), 0, status...)
	}
	play(t, map[string]scene{
		"one replicatedJob is complete, the other goes on": {
			objects: objects{jobSets: with("a", leads(gangs.ReplicatedJobStatus{Name: "lead", Succeeded: 1}))},
			pods:    jobSetPods("w", 2, 2),
			want:    startsOf("jobset", "w", 4),
		},
		"the success policy asks for no more than that": {
			objects: objects{jobSets: with("a", endedBy(leads(gangs.ReplicatedJobStatus{Name: "lead", Succeeded: 1}), "Completed"))},
			pods:    jobSetPods("w", 1, 1),
			want:    waitsIn("jobset", "jobset ml/a makes no more pods: condition Completed is true"),
		},
		"a Job failed, and the JobSet with it": {
			objects: objects{jobSets: with("a", endedBy(leads(gangs.ReplicatedJobStatus{Name: "w", Failed: 1}), "Failed"))},
			pods:    append(jobSetPods("w", 1, 2), jobSetPod("w", 1, 0, failed)),
			want:    waitsIn("jobset", "jobset ml/a makes no more pods: condition Failed is true"),
		},
		"another condition ends nothing": {
			objects: objects{jobSets: with("a", endedBy(leads(), "StartupPolicyCompleted"))},
			pods:    append(jobSetPods("w", 2, 2), jobSetPod("lead", 0, 0)),
			want:    outlook{Key: "jobset ml/a", Starts: map[string]int{"w": 4, "lead": 1}, Must: 5},
		},
	})
}
