// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// indexedJob returns Job ml/a with so many indexes, and what its status says of them.
func indexedJob(parallelism, completions int32, completed, failed string) *batchv1.Job {
	j := job("a", "uid-of-a", parallelism, &completions)
	j.Spec.CompletionMode = ptr(batchv1.IndexedCompletion)
	j.Status.CompletedIndexes = completed
	if failed != "" {
		j.Status.FailedIndexes = &failed
	}
	return j
}

func withCondition(j *batchv1.Job, condition batchv1.JobConditionType, status corev1.ConditionStatus) *batchv1.Job {
	j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: condition, Status: status})
	return j
}

// gangPod returns a pod of Job ml/a, which is a gang.
func gangPod(index int, changes ...change) *corev1.Pod {
	return jobPod(index, append(changes, label(gangs.GangAnnotation, "true"))...)
}

func gangPods(indexes ...int) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, i := range indexes {
		pods = append(pods, gangPod(i))
	}
	return pods
}

// uncounted is a pod whose end the Job controller has not written down yet.
func uncounted(p *corev1.Pod) { p.Finalizers = []string{batchv1.JobTrackingFinalizer} }

func startsOf(source string, role string, n int) outlook {
	return outlook{Key: source + " ml/a", Starts: map[string]int{role: n}, Must: n}
}

func waitsIn(source, sentence string) outlook {
	return outlook{Key: source + " ml/a", Says: sentence}
}

func TestTrapJobFailedIndexes(t *testing.T) {
	play(t, map[string]scene{
		"an index that failed for good is not waited for": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "", "3"))},
			pods:    gangPods(0, 1, 2),
			want:    startsOf("job", "pods", 3),
		},
		"its failed pod counts for nothing": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "", "3"))},
			pods:    append(gangPods(0, 1), gangPod(3, failed)),
			want:    waitsIn("job", "waiting for 1 of 3 members of job ml/a: 1 of role pods do not exist yet"),
		},
		"a pod that failed while its index did not is waited for": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "", ""))},
			pods:    append(gangPods(0, 1, 2), gangPod(3, failed)),
			want:    waitsIn("job", "waiting for 1 of 4 members of job ml/a: 1 of role pods do not exist yet"),
		},
		"more indexes are left than run at a time": {
			objects: objects{jobs: with("a", indexedJob(2, 6, "", "0,2-3"))},
			pods:    gangPods(1, 4),
			want:    startsOf("job", "pods", 2),
		},
		"failed and complete indexes leave one": {
			objects: objects{jobs: with("a", indexedJob(4, 6, "0-2", "4,5"))},
			pods:    gangPods(3),
			want:    startsOf("job", "pods", 1),
		},
	})
}

func TestTrapJobDonePodsDeleted(t *testing.T) {
	listed := job("a", "uid-of-a", 2, ptr[int32](3))
	listed.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"u", "v"}}
	play(t, map[string]scene{
		"complete indexes without pods are done": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "0,1", ""))},
			pods:    gangPods(2, 3),
			want:    startsOf("job", "pods", 2),
		},
		"with their pods they are done once": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "0,1", ""))},
			pods:    append(gangPods(2, 3), gangPod(0, succeeded), gangPod(1, succeeded)),
			want:    startsOf("job", "pods", 2),
		},
		"one pod is gone, one is there": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "0,1", ""))},
			pods:    append(gangPods(2, 3), gangPod(1, succeeded)),
			want:    startsOf("job", "pods", 2),
		},
		"a pod that is there does not stand in for one that is not": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "0,1", ""))},
			pods:    append(gangPods(2), gangPod(1, succeeded)),
			want:    waitsIn("job", "waiting for 1 of 3 members of job ml/a: 1 of role pods do not exist yet"),
		},
		"an index is done before the status says so": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "0", ""))},
			pods:    append(gangPods(2, 3), gangPod(0, succeeded, uncounted), gangPod(1, succeeded, uncounted)),
			want:    startsOf("job", "pods", 2),
		},
		"also when its pod is on its way out": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "0", ""))},
			pods:    append(gangPods(2, 3), gangPod(1, succeeded, uncounted, deleted)),
			want:    startsOf("job", "pods", 2),
		},
		"pods without an index are done when they are listed": {
			objects: objects{jobs: with("a", listed)},
			pods:    gangPods(2),
			want:    startsOf("job", "pods", 1),
		},
		"without completions no pod comes after one is done": {
			objects: objects{jobs: with("a", doneSoFar(job("a", "uid-of-a", 4, nil), 1))},
			pods:    append(gangPods(1, 2), gangPod(0, succeeded), gangPod(3, failed)),
			want:    startsOf("job", "pods", 2),
		},
	})
}

func TestTrapJobEnded(t *testing.T) {
	scenes := map[string]scene{
		"a condition that is false ends nothing": {
			objects: objects{jobs: with("a", withCondition(indexedJob(2, 2, "", ""), batchv1.JobFailed, corev1.ConditionFalse))},
			pods:    gangPods(0, 1),
			want:    startsOf("job", "pods", 2),
		},
		"nor does one of another type": {
			objects: objects{jobs: with("a", withCondition(indexedJob(2, 2, "", ""), batchv1.JobSuspended, corev1.ConditionTrue))},
			pods:    gangPods(0, 1),
			want:    startsOf("job", "pods", 2),
		},
	}
	for _, condition := range []batchv1.JobConditionType{
		batchv1.JobSuccessCriteriaMet, batchv1.JobComplete, batchv1.JobFailureTarget, batchv1.JobFailed,
	} {
		scenes["by "+string(condition)] = scene{
			objects: objects{jobs: with("a", withCondition(indexedJob(4, 4, "0", ""), condition, corev1.ConditionTrue))},
			pods:    append(gangPods(1), gangPod(0, succeeded)),
			want:    waitsIn("job", "job ml/a makes no more pods: condition "+string(condition)+" is true"),
		}
	}
	play(t, scenes)
}

func TestTrapJobElastic(t *testing.T) {
	play(t, map[string]scene{
		"lowered, it waits for fewer": {
			objects: objects{jobs: with("a", indexedJob(2, 2, "", ""))},
			pods:    gangPods(0, 1),
			want:    startsOf("job", "pods", 2),
		},
		"the pods that are to go start too, but need not": {
			objects: objects{jobs: with("a", indexedJob(2, 2, "", ""))},
			pods:    gangPods(0, 1, 2, 3),
			want:    outlook{Key: "job ml/a", Starts: map[string]int{"pods": 4}, Must: 2},
		},
		"indexes beyond the end are neither complete nor failed": {
			objects: objects{jobs: with("a", indexedJob(3, 3, "0,2-4", "5"))},
			pods:    append(gangPods(1), gangPod(3, succeeded), gangPod(4, succeeded)),
			want:    startsOf("job", "pods", 1),
		},
		"raised, it waits for more": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "", ""))},
			pods:    gangPods(0, 1),
			want:    waitsIn("job", "waiting for 2 of 4 members of job ml/a: 2 of role pods do not exist yet"),
		},
		"raised while it runs, more join": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "", ""))},
			pods:    append(gangPods(2), gangPod(0, bound), gangPod(1, bound)),
			want:    outlook{Key: "job ml/a", Starts: map[string]int{"pods": 1}, Must: 2},
		},
		"raised again, an index runs again whose pod succeeded": {
			objects: objects{jobs: with("a", indexedJob(4, 4, "0,1", ""))},
			pods:    append(gangPods(2), gangPod(2, succeeded), gangPod(3, succeeded)),
			want:    waitsIn("job", "waiting for 1 of 4 members of job ml/a: 1 of role pods do not exist yet"),
		},
		"of none at a time nothing is waited for": {
			objects: objects{jobs: with("a", indexedJob(0, 4, "", ""))},
			pods:    gangPods(0),
			want:    outlook{Key: "job ml/a", Starts: map[string]int{"pods": 1}},
		},
	})
}

// The lists of indexes are as the Job controller and its users write them.
func TestIndexesLeft(t *testing.T) {
	tests := map[string]struct {
		completed, failed string
		want              int
	}{
		"none":                         {"", "", 10},
		"single ones":                  {"0,4,9", "", 7},
		"a range":                      {"", "1,3-5", 6},
		"both lists":                   {"0,2-4", "6-8", 3},
		"lists that overlap":           {"0-4", "3-5,5", 4},
		"beyond the end":               {"8-20,30", "", 8},
		"all":                          {"0-8", "9", 0},
		"not in order":                 {"7,1-2", "", 7},
		"a part that cannot be read":   {"0,x,3-y,5", "", 8},
		"a range that ends too early":  {"5-3,7", "", 9},
		"with a blank, as nobody does": {"1, 2", "", 9},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sources := objects{jobs: with("a", indexedJob(20, 10, tc.completed, tc.failed))}.sources()
			key := gangs.JobKey("ml", "a")
			g, err := sources.Gang(key, membersOf(sources, key, gangPods(9)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, g.Min); diff != "" {
				t.Errorf("quorum (-want,+got):\n%s", diff)
			}
		})
	}
}
