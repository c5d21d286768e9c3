// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/test/harness"
)

// The nodes of these scenes have no simulated kubelet, which would complete the pods of Jobs.
var quorumScenes = []scene{
	{
		name:    "an index that failed for good does not count when the Job resumes",
		sources: []source{byJob},
		given:   []step{added(true, 4)},
		gang:    []role{many("worker", 4, large, onAdded)},
		job: func(spec *batchv1.JobSpec) {
			indexed(spec)
			spec.BackoffLimitPerIndex, spec.MaxFailedIndexes = new(int32), new(int32(2))
		},
		then: []step{
			runs(4), ends(index(3), 1, `{"phase":"Failed"}`),
			jobShows("index 3 failed", func(job *batchv1.Job) bool {
				return job.Status.FailedIndexes != nil && *job.Status.FailedIndexes == "3"
			}),
			suspended, jobPatched(`{"spec":{"suspend":false}}`),
		},
		want: 3,
	},
	{
		name:    "completed pods that were deleted do not count when the Job resumes",
		sources: []source{byJob},
		given:   []step{added(true, 4)},
		gang:    []role{many("worker", 4, large, onAdded)},
		then: []step{
			runs(4), ends(ofGang, 2, `{"phase":"Succeeded"}`),
			jobShows("two pods succeeded", func(job *batchv1.Job) bool { return job.Status.Succeeded == 2 }),
			completedDeleted, suspended, jobPatched(`{"spec":{"suspend":false}}`),
		},
		want: 2,
	},
	{
		name:    "a success policy ends a Job before all indexes ran, and the next gang has the nodes",
		sources: []source{byJob},
		given:   []step{added(true, 4)},
		gang:    []role{many("worker", 4, large, onAdded)},
		job: func(spec *batchv1.JobSpec) {
			indexed(spec)
			spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: new("0")}}}
		},
		then: []step{
			runs(4), ends(index(0), 1, `{"phase":"Succeeded"}`),
			func(s *stage) { s.declare(byPodGroup, scene{gang: []role{many("next", 4, large, onAdded)}}) },
		},
		want: 5, // the pod that succeeded is still there
	},
	{
		name:    "a Job with fewer completions than its parallelism",
		sources: []source{byJob},
		gang:    []role{many("worker", 4, large)},
		job:     func(spec *batchv1.JobSpec) { spec.Completions = new(int32(2)) },
		want:    2,
	},
	{
		name:    "a Job that waits for a fourth node needs three after it was scaled down",
		sources: []source{byJob},
		given:   []step{added(true, 3)},
		gang:    []role{many("worker", 4, large, onAdded)},
		job:     indexed,
		refused: "3 of 4 members fit",
		then:    []step{jobPatched(`{"spec":{"parallelism":3,"completions":3}}`)},
		want:    3,
	},
	{
		name:    "a Job that is suspended comes back with half of its pods",
		sources: []source{byJob},
		given:   []step{added(true, 4)},
		gang:    []role{many("worker", 4, large, onAdded)},
		job:     indexed,
		then: []step{
			runs(4), suspended,
			jobPatched(`{"spec":{"suspend":false,"parallelism":2,"completions":2}}`),
		},
		want: 2,
	},
	{
		name:    "a replacement counts members that have finished",
		sources: twoSources,
		given:   []step{added(true, 3)},
		gang:    []role{many("worker", 3, large, onAdded)},
		then: []step{
			runs(3), ends(ofGang, 2, `{"phase":"Succeeded"}`), ends(ofGang, 1, `{"phase":"Failed"}`),
			func(s *stage) { s.createPod(s.member(s.by, 3, role{options: []option{large, onAdded}}, "late")) },
		},
		want: 3,
	},
}

func indexed(spec *batchv1.JobSpec) { spec.CompletionMode = new(batchv1.IndexedCompletion) }

// suspended suspends the Job, and waits until no pod is left that has not ended.
func suspended(s *stage) {
	s.Helper()
	jobPatched(`{"spec":{"suspend":true}}`)(s)
	s.Eventually("the pods of the suspended Job are deleted", func() bool {
		return !slices.ContainsFunc(s.Pods(ofGang), func(pod corev1.Pod) bool { return !ended(&pod) })
	})
}

// ended reports whether a pod has succeeded or failed.
func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// index selects the pods of an index of a Job.
func index(i int) string {
	return fmt.Sprintf("%s,%s=%d", ofGang, batchv1.JobCompletionIndexAnnotation, i)
}

// runs waits until so many members have a node.
func runs(n int) step {
	return func(s *stage) {
		s.Helper()
		s.whole(n)
	}
}

// ends gives the first n pods that match and have not ended this status.
func ends(selector string, n int, status string) step {
	return func(s *stage) {
		s.Helper()
		left := n
		for _, pod := range s.Pods(selector) {
			if left == 0 || ended(&pod) {
				continue
			}
			left--
			_, err := s.Client.CoreV1().Pods(s.Namespace).Patch(s.Context(), pod.Name, types.StrategicMergePatchType, []byte(`{"status":`+status+`}`), metav1.PatchOptions{}, "status")
			if err != nil {
				s.Fatalf("ending pod %s: %v", pod.Name, err)
			}
		}
		if left != 0 {
			s.Fatalf("%d pods too few match %s", left, selector)
		}
	}
}

// completedDeleted deletes the pods that succeeded.
func completedDeleted(s *stage) {
	s.Helper()
	for _, pod := range s.Pods(ofGang) {
		if pod.Status.Phase == corev1.PodSucceeded {
			s.RemovePod(pod.Name)
		}
	}
}

func jobPatched(patch string) step {
	return func(s *stage) {
		s.Helper()
		if _, err := s.Client.BatchV1().Jobs(s.Namespace).Patch(s.Context(), gangName, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			s.Fatalf("changing the Job: %v", err)
		}
	}
}

// jobShows waits for the status of the Job.
func jobShows(what string, holds func(*batchv1.Job) bool) step {
	return func(s *stage) {
		s.Helper()
		s.Until("the Job shows that "+what, func(ctx context.Context) string {
			job, err := s.Client.BatchV1().Jobs(s.Namespace).Get(ctx, gangName, metav1.GetOptions{})
			if err != nil || holds(job) {
				return harness.Text(err)
			}
			return fmt.Sprintf("its status is %v", job.Status)
		})
	}
}
