// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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

// childJob returns Job ml/a-w-INDEX of JobSet ml/a, whose pods are those of jobSetPod.
func childJob(index string, parallelism, completions int32, completed, failed string) *batchv1.Job {
	j := indexedJob(parallelism, completions, completed, failed)
	j.Name, j.UID = "a-w-"+index, types.UID("uid-of-a-w-"+index)
	return j
}

// What a Job of a JobSet completed or gave up, the JobSet's own status does not say.
func TestTrapJobSetJobsStatus(t *testing.T) {
	of := func(set *gangs.JobSet, jobs ...*batchv1.Job) objects {
		o := objects{jobSets: with("a", set), jobs: map[string]*batchv1.Job{}}
		for _, j := range jobs {
			o.jobs["ml/"+j.Name] = j
		}
		return o
	}
	plain := func() *gangs.JobSet { return jobSet(replicated("w", 2, 2)) }
	queue := jobSet(replicated("w", 1, 2))
	queue.Spec.ReplicatedJobs[0].Template.Spec.Completions = ptr[int32](6)
	ordered := inOrder(jobSet(replicated("driver", 1, 1), replicated("w", 1, 3)))
	another := childJob("0", 2, 2, "", "0")
	another.UID = "uid-before"
	play(t, map[string]scene{
		"an index that failed for good is not waited for": {
			objects: of(plain(), childJob("0", 2, 2, "", ""), childJob("1", 2, 2, "", "1")),
			pods:    append(jobSetPods("w", 1, 2), jobSetPod("w", 1, 0)),
			want:    startsOf("jobset", "w", 3),
		},
		"nor an index whose pod succeeded and is gone": {
			objects: of(plain(), childJob("0", 2, 2, "1", ""), childJob("1", 2, 2, "", "")),
			pods:    []*corev1.Pod{jobSetPod("w", 0, 0), jobSetPod("w", 1, 0), jobSetPod("w", 1, 1)},
			want:    startsOf("jobset", "w", 3),
		},
		"and one whose pod is there counts once": {
			objects: of(plain(), childJob("0", 2, 2, "1", ""), childJob("1", 2, 2, "", "")),
			pods:    append(jobSetPods("w", 2, 2)[:1], jobSetPod("w", 0, 1, succeeded), jobSetPod("w", 1, 0), jobSetPod("w", 1, 1)),
			want:    startsOf("jobset", "w", 3),
		},
		"pods that are done do not stand in for those that come next": {
			objects: of(queue, childJob("0", 2, 6, "0,1", "")),
			pods:    []*corev1.Pod{jobSetPod("w", 0, 0, succeeded), jobSetPod("w", 0, 1, succeeded), jobSetPod("w", 0, 2)},
			want:    waitsIn("jobset", "waiting for 1 of 4 members of jobset ml/a: 1 of role w do not exist yet"),
		},
		"a Job without pods is waited for": {
			objects: of(plain(), childJob("0", 2, 2, "", "1")),
			pods:    []*corev1.Pod{jobSetPod("w", 0, 0)},
			want:    waitsIn("jobset", "waiting for 2 of 3 members of jobset ml/a: 2 of role w do not exist yet"),
		},
		"a Job that is complete before the JobSet says so is waited for, for that moment": {
			objects: of(plain(), withCondition(childJob("0", 2, 2, "0,1", ""), batchv1.JobComplete, corev1.ConditionTrue), childJob("1", 2, 2, "", "")),
			pods:    append([]*corev1.Pod{jobSetPod("w", 1, 0), jobSetPod("w", 1, 1)}, jobSetPods("w", 1, 2, succeeded)...),
			want:    waitsIn("jobset", "waiting for 2 of 6 members of jobset ml/a: 2 of role w do not exist yet"),
		},
		"an earlier Job of the same name tells nothing": {
			objects: of(plain(), another, childJob("1", 2, 2, "", "")),
			pods:    jobSetPods("w", 2, 2)[1:],
			want:    waitsIn("jobset", "waiting for 1 of 4 members of jobset ml/a: 1 of role w do not exist yet"),
		},
		"Jobs that come after others start without failed indexes too": {
			objects: of(ordered, childJob("0", 3, 3, "", "2")),
			pods:    []*corev1.Pod{jobSetPod("driver", 0, 0, bound), jobSetPod("w", 0, 0), jobSetPod("w", 0, 1)},
			want:    startsOf("jobset", "w", 2),
		},
	})
}
