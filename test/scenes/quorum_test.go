// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/test/harness"
)

// The nodes of these scenes have no simulated kubelet, which would complete the pods of Jobs.
var quorumScenes = []scene{
	{
		name:    "an index that failed for good does not count when the other pods are lost",
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
			ends(ofGang, 3, disrupted),
		},
		want: 3,
	},
	{
		name:    "completed pods that were deleted do not count when the other pods are lost",
		sources: []source{byJob},
		given:   []step{added(true, 4)},
		gang:    []role{many("worker", 4, large, onAdded)},
		job:     ignoringDisruption,
		then: []step{
			runs(4), ends(ofGang, 2, `{"phase":"Succeeded"}`),
			jobShows("two pods succeeded", func(job *batchv1.Job) bool { return job.Status.Succeeded == 2 }),
			completedDeleted,
			ends(ofGang, 2, disrupted),
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
			runs(4), jobPatched(`{"spec":{"suspend":true}}`), func(s *stage) { s.Gone(ofGang) },
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

// disrupted is the status of a pod that was lost, not one that failed.
const disrupted = `{"phase":"Failed","conditions":[{"type":"DisruptionTarget","status":"True","reason":"DeletionByPodGC","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`

func indexed(spec *batchv1.JobSpec) {
	spec.CompletionMode = new(batchv1.IndexedCompletion)
	ignoringDisruption(spec)
}

func ignoringDisruption(spec *batchv1.JobSpec) {
	spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
		Action:          batchv1.PodFailurePolicyActionIgnore,
		OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
	}}}
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
		for _, pod := range s.Pods(selector) {
			if n == 0 || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
				continue
			}
			n--
			_, err := s.Client.CoreV1().Pods(s.Namespace).Patch(s.Context(), pod.Name, types.StrategicMergePatchType, []byte(`{"status":`+status+`}`), metav1.PatchOptions{}, "status")
			if err != nil {
				s.Fatalf("ending pod %s: %v", pod.Name, err)
			}
		}
		if n != 0 {
			s.Fatalf("%d pods too few match %s", n, selector)
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
