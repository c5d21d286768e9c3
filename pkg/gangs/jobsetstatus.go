// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JobSetStatus is the part of a JobSet's status that is read. Conditions has only the
// conditions after which the JobSet creates no more pods.
//
// The JobSet's success policy is not read: the controller writes its result into the
// conditions in the same update that counts the Jobs. The status also counts ready, active
// and suspended Jobs. These counts are not read, because all these Jobs still have pods to
// run: a suspended Job is resumed unless its JobSet is suspended.
type JobSetStatus struct {
	// Restarts is the number of the current restart attempt, from 0.
	Restarts             int32                 `json:"restarts"`
	Conditions           []metav1.Condition    `json:"conditions"`
	ReplicatedJobsStatus []ReplicatedJobStatus `json:"replicatedJobsStatus"`
}

// ReplicatedJobStatus is how many Jobs of a replicatedJob are complete or failed. A
// scheduler does not see deleted pods, so it needs these numbers.
type ReplicatedJobStatus struct {
	Name      string `json:"name"`
	Succeeded int32  `json:"succeeded"`
	Failed    int32  `json:"failed"`
}

// EndsJobSet reports whether a JobSet creates no more pods once its condition of this
// type is true.
func EndsJobSet(condition string) bool {
	return condition == "Completed" || condition == "Failed"
}

// ended returns the condition that ended the JobSet, "" if none did.
func (s *JobSet) ended() string {
	for i := range s.Status.Conditions {
		if c := &s.Status.Conditions[i]; c.Status == metav1.ConditionTrue && EndsJobSet(c.Type) {
			return c.Type
		}
	}
	return ""
}

// attempt returns the value of the restart-attempt label on the pods of the current
// restart attempt.
func (s *JobSet) attempt() string { return strconv.FormatInt(int64(s.Status.Restarts), 10) }

// done returns how many Jobs of a replicatedJob create no more pods in the current
// restart attempt.
//
// A failed Job either ends the JobSet or is created again, with or without the other
// Jobs. The status update that begins a new attempt still counts the Jobs of the previous
// attempt, among them at least one that failed. So if any Job has failed, the numbers say
// nothing about the new attempt, and done returns 0.
func (s *JobSet) done(job *ReplicatedJob) int64 {
	counts := s.Status.ReplicatedJobsStatus
	if s.ended() != "" {
		return valueOr(job.Replicas, 1)
	}
	if slices.ContainsFunc(counts, func(c ReplicatedJobStatus) bool { return c.Failed > 0 }) {
		return 0
	}
	for i := range counts {
		if counts[i].Name == job.Name {
			return int64(counts[i].Succeeded)
		}
	}
	return 0
}
