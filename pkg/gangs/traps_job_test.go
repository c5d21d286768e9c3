// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// trainJob returns what Kubeflow Trainer creates for a TrainJob of three nodes.
func trainJob(jobs ...gangs.ReplicatedJob) objects {
	group := podGroup(5)
	group.OwnerReferences = []metav1.OwnerReference{{APIVersion: "trainer.kubeflow.org/v1alpha1", Kind: "TrainJob", Name: "a", Controller: ptr(true)}}
	return objects{
		groups:  map[string]*schedv1alpha1.PodGroup{"ml/a": group},
		jobSets: with("a", jobSet(jobs...)),
	}
}

func TestTrapTrainJobInitialisers(t *testing.T) {
	torch := trainJob(replicated("dataset-initializer", 1, 1), replicated("model-initializer", 1, 1),
		replicated("node", 1, 3, "dataset-initializer", "model-initializer"))
	other := trainJob(replicated("fetch", 1, 1), replicated("node", 1, 3, "fetch"))
	step := func(step string) change { return label("trainer.kubeflow.org/trainjob-ancestor-step", step) }
	play(t, map[string]scene{
		"they run before anybody else is there": {
			objects: torch,
			pods:    []*corev1.Pod{jobSetPod("dataset-initializer", 0, 0, inGroup("a")), jobSetPod("model-initializer", 0, 0, inGroup("a"))},
			want:    outlook{Alone: []string{"a-dataset-initializer-0-0", "a-model-initializer-0-0"}},
		},
		"known by the label of the step alone": {
			objects: torch,
			pods:    []*corev1.Pod{jobSetPod("fetch", 0, 0, inGroup("a"), step("dataset-initializer"))},
			want:    outlook{Alone: []string{"a-fetch-0-0"}},
		},
		"the PodGroup's minMember counts them, the gang does not": {
			objects: torch,
			pods:    append(jobSetPods("node", 1, 3, inGroup("a")), jobSetPod("dataset-initializer", 0, 0, inGroup("a"), succeeded)),
			want:    outlook{Alone: []string{"a-dataset-initializer-0-0"}, Key: "podgroup ml/a", Starts: map[string]int{"node": 3}, Must: 3},
		},
		"under a name that nobody knows they come first all the same": {
			objects: other,
			pods:    jobSetPods("fetch", 1, 1, inGroup("a")),
			want:    outlook{Key: "podgroup ml/a", Starts: map[string]int{"fetch": 1}, Must: 1},
		},
		"and those that train start together after them": {
			objects: other,
			pods:    append(jobSetPods("node", 1, 3, inGroup("a")), jobSetPod("fetch", 0, 0, inGroup("a"), succeeded)),
			want:    outlook{Key: "podgroup ml/a", Starts: map[string]int{"node": 3}, Must: 3},
		},
		"an MPI launcher that comes when the nodes are ready": {
			objects: trainJob(replicated("node", 1, 3), replicated("launcher", 1, 1, "node")),
			pods:    jobSetPods("node", 1, 3, inGroup("a")),
			want:    outlook{Key: "podgroup ml/a", Starts: map[string]int{"node": 3}, Must: 3},
		},
	})
}

func TestTrapJobSetInOrder(t *testing.T) {
	o := objects{jobSets: with("a", inOrder(jobSet(replicated("driver", 1, 1), replicated("workers", 2, 2))))}
	play(t, map[string]scene{
		"the first replicatedJob does not wait for the second": {
			objects: o,
			pods:    jobSetPods("driver", 1, 1),
			want:    outlook{Key: "jobset ml/a", Starts: map[string]int{"driver": 1}, Must: 1},
		},
		"the second starts whole": {
			objects: o,
			pods:    append(jobSetPods("workers", 2, 2), jobSetPod("driver", 0, 0, bound)),
			want:    outlook{Key: "jobset ml/a", Starts: map[string]int{"workers": 4}, Must: 4},
		},
		"also when the first is complete, and its pods are out of the scheduler's sight": {
			objects: objects{jobSets: with("a", complete(inOrder(jobSet(replicated("driver", 1, 1), replicated("workers", 2, 2))), "driver", 1))},
			pods:    jobSetPods("workers", 2, 2),
			want:    outlook{Key: "jobset ml/a", Starts: map[string]int{"workers": 4}, Must: 4},
		},
		"and not before it is whole": {
			objects: o,
			pods:    append(jobSetPods("workers", 1, 2), jobSetPod("driver", 0, 0, bound)),
			want:    outlook{Key: "jobset ml/a", Says: "waiting for 2 of 4 members of role workers of jobset ml/a, which start together"},
		},
		"a pod that comes back to it does not wait": {
			objects: o,
			pods: append(jobSetPods("workers", 1, 2, bound), jobSetPod("driver", 0, 0, bound), jobSetPod("workers", 1, 0, bound),
				jobSetPod("workers", 1, 1)),
			want: outlook{Key: "jobset ml/a", Starts: map[string]int{"workers": 1}, Must: 1},
		},
	})
}

func TestTrapJobSetDependsOn(t *testing.T) {
	o := objects{jobSets: with("a", jobSet(replicated("store", 1, 2), replicated("eval", 1, 1), replicated("train", 1, 3, "store")))}
	play(t, map[string]scene{
		"what depends on nothing starts together": {
			objects: o,
			pods:    append(jobSetPods("store", 1, 2), jobSetPods("eval", 1, 1)...),
			want:    outlook{Key: "jobset ml/a", Starts: map[string]int{"store": 2, "eval": 1}, Must: 3},
		},
		"what is complete is waited for no more": {
			objects: objects{jobSets: with("a", complete(jobSet(replicated("fetch", 2, 1), replicated("train", 1, 3, "fetch")), "fetch", 2))},
			pods:    jobSetPods("train", 1, 3),
			want:    outlook{Key: "jobset ml/a", Starts: map[string]int{"train": 3}, Must: 3},
		},
		"the pods of a Job that is complete do not stand in for those of another": {
			objects: objects{jobSets: with("a", complete(jobSet(replicated("w", 2, 2)), "w", 1))},
			pods:    together([]*corev1.Pod{jobSetPod("w", 0, 0, succeeded), jobSetPod("w", 0, 1, succeeded)}, []*corev1.Pod{jobSetPod("w", 1, 0), jobSetPod("w", 1, 1)}),
			want:    outlook{Key: "jobset ml/a", Starts: map[string]int{"w": 2}, Must: 2},
		},
		"what depends on it starts together after it": {
			objects: o,
			pods:    together(jobSetPods("store", 1, 2, bound), jobSetPods("eval", 1, 1, bound), jobSetPods("train", 1, 3)),
			want:    outlook{Key: "jobset ml/a", Starts: map[string]int{"train": 3}, Must: 3},
		},
	})
}

func TestTrapJobSetExclusiveTopology(t *testing.T) {
	set := jobSet(replicated("w", 2, 3))
	set.Exclusive = true
	byTemplate := jobSet(replicated("w", 2, 3))
	byTemplate.Spec.ReplicatedJobs[0].Template.Annotations = map[string]string{"alpha.jobset.sigs.k8s.io/exclusive-topology": "rack"}
	prepared := annotation("alpha.jobset.sigs.k8s.io/node-selector", "true")
	for how, s := range map[string]*gangs.JobSet{"on the JobSet": set, "on the template": byTemplate} {
		o := objects{jobSets: with("a", s)}
		play(t, map[string]scene{
			how + ", leaders start alone, or no other pod is made": {
				objects: o,
				pods:    []*corev1.Pod{jobSetPod("w", 0, 0, exclusiveTopology), jobSetPod("w", 1, 0, exclusiveTopology)},
				want:    outlook{Alone: []string{"a-w-0-0", "a-w-1-0"}},
			},
			how + ", the rest of a Job starts together": {
				objects: o,
				pods:    []*corev1.Pod{jobSetPod("w", 1, 1, exclusiveTopology), jobSetPod("w", 0, 2, exclusiveTopology), jobSetPod("w", 1, 2, exclusiveTopology)},
				want:    outlook{Key: "jobset ml/a", Starts: map[string]int{"w": 2}, Must: 2},
			},
			how + ", and not before it is there": {
				objects: o,
				pods:    []*corev1.Pod{jobSetPod("w", 0, 1, exclusiveTopology)},
				want:    outlook{Key: "jobset ml/a", Says: "waiting for 1 of 2 members of role w of jobset ml/a, which start together"},
			},
		})
	}
	play(t, map[string]scene{
		"with labelled nodes no pod waits for another": {
			objects: objects{jobSets: with("a", jobSet(replicated("w", 2, 3)))},
			pods:    jobSetPods("w", 2, 3, exclusiveTopology, prepared),
			want:    outlook{Key: "jobset ml/a", Starts: map[string]int{"w": 6}, Must: 6},
		},
	})
}

// If only the Job has the gang annotation, the scheduler may see its pods before the Job.
func TestTrapJobSeenAfterItsPods(t *testing.T) {
	asks := label(gangs.GangAnnotation, "true")
	asking := job("a", "uid-of-a", 2, nil)
	asking.Annotations = map[string]string{gangs.GangAnnotation: "true"}
	unread := func(listing bool) objects {
		return objects{failure: func(key gangs.Key) error {
			return &gangs.LookupError{Key: key, Reason: gangs.ErrNotRead, Detail: "x", Listing: listing}
		}}
	}
	play(t, map[string]scene{
		"nobody starts before it is known": {
			pods: []*corev1.Pod{jobPod(0)},
			want: outlook{Key: "job ml/a", Says: "job ml/a does not exist"},
		},
		"nor while Jobs are being listed": {
			objects: unread(true),
			pods:    []*corev1.Pod{jobPod(0)},
			want:    outlook{Key: "job ml/a", Says: "job ml/a could not be read so far: x"},
		},
		"but Jobs that cannot be read hold up nobody": {
			objects: unread(false),
			pods:    []*corev1.Pod{jobPod(0)},
			want:    outlook{Alone: []string{"a-0"}},
		},
		"one that asks is a gang": {
			objects: objects{jobs: with("a", asking)},
			pods:    []*corev1.Pod{jobPod(0), jobPod(1)},
			want:    outlook{Key: "job ml/a", Starts: map[string]int{"pods": 2}, Must: 2},
		},
		"one that does not is none": {
			objects: objects{jobs: with("a", job("a", "uid-of-a", 2, nil))},
			pods:    []*corev1.Pod{jobPod(0)},
			want:    outlook{Alone: []string{"a-0"}},
		},
		"an earlier one of the same name is another": {
			objects: objects{jobs: with("a", job("a", "uid-before", 2, nil))},
			pods:    []*corev1.Pod{jobPod(0)},
			want:    outlook{Key: "job ml/a", Says: "job ml/a declares no gang"},
		},
		"what is left to complete bounds the quorum": {
			objects: objects{jobs: map[string]*batchv1.Job{"ml/a": doneSoFar(job("a", "uid-of-a", 4, ptr[int32](6)), 5)}},
			pods:    []*corev1.Pod{jobPod(5, asks)},
			want:    outlook{Key: "job ml/a", Starts: map[string]int{"pods": 1}, Must: 1},
		},
		"those that are complete do not stand in for those that are to run next": {
			objects: objects{jobs: with("a", doneSoFar(job("a", "uid-of-a", 2, ptr[int32](6)), 2))},
			pods:    []*corev1.Pod{jobPod(0, asks, succeeded), jobPod(1, asks, succeeded), jobPod(2, asks)},
			want:    outlook{Key: "job ml/a", Says: "waiting for 1 of 4 members of job ml/a: 1 of role pods do not exist yet"},
		},
		"which start together": {
			objects: objects{jobs: with("a", doneSoFar(job("a", "uid-of-a", 2, ptr[int32](6)), 2))},
			pods:    []*corev1.Pod{jobPod(0, asks, succeeded), jobPod(1, asks, succeeded), jobPod(2, asks), jobPod(3, asks)},
			want:    outlook{Key: "job ml/a", Starts: map[string]int{"pods": 2}, Must: 2},
		},
		"one that is complete before the Job says so holds up the next for that moment": {
			objects: objects{jobs: with("a", doneSoFar(job("a", "uid-of-a", 2, ptr[int32](3)), 0))},
			pods:    []*corev1.Pod{jobPod(0, asks, succeeded), jobPod(1, asks, succeeded), jobPod(2, asks)},
			want:    outlook{Key: "job ml/a", Says: "waiting for 1 of 4 members of job ml/a: 1 of role pods do not exist yet"},
		},
	})
}

func doneSoFar(j *batchv1.Job, succeeded int32) *batchv1.Job {
	j.Status.Succeeded = succeeded
	return j
}
