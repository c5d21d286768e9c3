// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// JobSet says how JobSets are watched and read.
var JobSet = Kind{
	Resource: resourceOf(gangs.JobSetAPIVersion, "jobsets"),
	Name:     "JobSet",
	Key:      gangs.JobSetKey,
	Trim:     trimJobSet,
}

// JobSet implements gangs.JobSets. It returns the JobSet of that name, which is shared
// and must not be changed.
func (w *Watcher) JobSet(namespace, name string) (*gangs.JobSet, error) {
	return lookup[*gangs.JobSet](w, JobSet, gangs.JobSetKey(namespace, name), namespace, name)
}

func trimJobSet(u *unstructured.Unstructured) (any, error) {
	set := &gangs.JobSet{ObjectMeta: trimMeta(u), Exclusive: gangs.AsksForExclusivePlacement(u.GetAnnotations())}
	if err := decodeSpec(u, &set.Spec, pickJobSetSpec); err != nil {
		return nil, err
	}
	if err := decodePart(u, "status", &set.Status, pickJobSetStatus); err != nil {
		return nil, err
	}
	slices.SortFunc(set.Status.ReplicatedJobsStatus, func(a, b gangs.ReplicatedJobStatus) int {
		return strings.Compare(a.Name, b.Name) // the controller writes them in any order
	})
	return set, nil
}

func pickJobSetStatus(status map[string]any) map[string]any {
	status = pickFields(status, "restarts", "conditions", "replicatedJobsStatus")
	status = pickEach(status, "replicatedJobsStatus", func(job map[string]any) map[string]any {
		return pickFields(job, "name", "succeeded", "failed")
	})
	return pickConditions(status, gangs.EndsJobSet)
}

func pickJobSetSpec(spec map[string]any) map[string]any {
	picked := pickFields(spec, "suspend", "startupPolicy", "replicatedJobs")
	return pickEach(picked, "replicatedJobs", func(job map[string]any) map[string]any {
		job = pickFields(job, "name", "replicas", "dependsOn", "template")
		return pickIn(job, "template", pickJobTemplate)
	})
}

// pickJobTemplate keeps the Job annotations, pod counts and deadline of a Job template. Of the pod
// template it keeps the labels, and the fields that must be the same in all pods of a
// PodGroup.
func pickJobTemplate(template map[string]any) map[string]any {
	template = pickFields(template, "metadata", "spec")
	template = pickIn(template, "metadata", func(meta map[string]any) map[string]any { return pickFields(meta, "annotations") })
	return pickIn(template, "spec", func(job map[string]any) map[string]any {
		job = pickFields(job, "parallelism", "completions", "activeDeadlineSeconds", "template")
		return pickIn(job, "template", func(pod map[string]any) map[string]any {
			pod = pickFields(pod, "metadata", "spec")
			pod = pickIn(pod, "spec", func(spec map[string]any) map[string]any {
				return pickFields(spec, "priorityClassName", "schedulerName")
			})
			return pickIn(pod, "metadata", func(meta map[string]any) map[string]any { return pickFields(meta, "labels") })
		})
	})
}
