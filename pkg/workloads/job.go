// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Job says how Jobs of batch/v1 are watched and read.
var Job = Kind{
	Resource: batchv1.SchemeGroupVersion.WithResource("jobs"),
	Name:     "Job",
	BuiltIn:  true,
	Key:      gangs.JobKey,
	Trim:     trimJob,
	Reader:   func(object any) (gangs.Key, bool) { return gangs.JobSetOfJob(object.(*batchv1.Job)) },
}

// Job implements gangs.Jobs. It returns the Job of that name, which is shared and must
// not be changed.
func (w *Watcher) Job(namespace, name string) (*batchv1.Job, error) {
	return lookup[*batchv1.Job](w, Job, gangs.JobKey(namespace, name), namespace, name)
}

func trimJob(u *unstructured.Unstructured) (any, error) {
	job := &batchv1.Job{ObjectMeta: trimMeta(u)}
	job.OwnerReferences = nil
	for _, ref := range u.GetOwnerReferences() {
		if gangs.IsJobSet(&ref) {
			job.OwnerReferences = append(job.OwnerReferences, ref)
		}
	}
	if mark, ok := u.GetLabels()[gangs.GangAnnotation]; ok && job.Annotations[gangs.GangAnnotation] == "" {
		metav1.SetMetaDataAnnotation(&job.ObjectMeta, gangs.GangAnnotation, mark)
	}
	pick := func(spec map[string]any) map[string]any {
		return pickFields(spec, "parallelism", "completions", "completionMode", "suspend", "activeDeadlineSeconds")
	}
	if err := decodeSpec(u, &job.Spec, pick); err != nil {
		return nil, err
	}
	if err := decodePart(u, "status", &job.Status, pickJobStatus); err != nil {
		return nil, err
	}
	return job, nil
}

// pickJobStatus keeps the fields of a Job's status about pods and indexes that the Job
// will not run again. The other fields change with every pod, and each change would have
// the gang planned again.
func pickJobStatus(status map[string]any) map[string]any {
	status = pickFields(status, "succeeded", "completedIndexes", "failedIndexes", "uncountedTerminatedPods", "conditions")
	status = pickIn(status, "uncountedTerminatedPods", func(pods map[string]any) map[string]any { return pickFields(pods, "succeeded") })
	if uncounted, ok := status["uncountedTerminatedPods"].(map[string]any); ok && len(uncounted) == 0 {
		delete(status, "uncountedTerminatedPods")
	}
	return pickConditions(status, gangs.EndsJob)
}
