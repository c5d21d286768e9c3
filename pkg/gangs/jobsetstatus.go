// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JobSetStatus is the part of a JobSet's status that is read: of the conditions those
// of EndsJobSet.
//
// The controller writes the success policy's verdict into the conditions in the update that
// counts the Jobs, so that the policy itself is not read. A Job that is ready, active or
// suspended still has pods to run, and a suspended Job of a JobSet that is not is resumed.
type JobSetStatus struct {
	// Restarts is the number of the present attempt, from 0.
	Restarts             int32                 `json:"restarts"`
	Conditions           []metav1.Condition    `json:"conditions"`
	ReplicatedJobsStatus []ReplicatedJobStatus `json:"replicatedJobsStatus"`
}

// ReplicatedJobStatus says how many Jobs of a replicatedJob are complete or failed. A
// scheduler does not see pods that are gone, so this is how it knows.
type ReplicatedJobStatus struct {
	Name      string `json:"name"`
	Succeeded int32  `json:"succeeded"`
	Failed    int32  `json:"failed"`
}

// EndsJobSet reports that a JobSet makes no more pods once its condition of that type is
// true.
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

// attempt is the value of the restart-attempt label of the pods that belong to the present
// attempt.
func (s *JobSet) attempt() string { return strconv.FormatInt(int64(s.Status.Restarts), 10) }

// done is how many Jobs of a replicatedJob make no more pods in the present attempt.
//
// A Job that has failed either ends the JobSet or is made anew, with or without the other
// Jobs. The update that begins a new attempt still counts the Jobs of the attempt before,
// and among them at least one that has failed: none of these numbers is about the new one.
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
