// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// jobMembers are the live members of a gang (pods that neither failed nor are being deleted)
// that belong to one Job of a JobSet. done counts those that have succeeded.
type jobMembers struct {
	name    string
	members []Member
	done    int
}

// busy reports whether the Job has members that have not succeeded.
func (j *jobMembers) busy() bool { return j.done < len(j.members) }

// jobsOfRole sums up the Jobs of a replicatedJob that have members.
type jobsOfRole struct {
	// busy counts the Jobs with members that have not succeeded. needs is how many members
	// the quorum (the members that must start together) needs from these Jobs.
	busy  int64
	needs int
	// done counts succeeded members that needs does not include.
	done int
}

// jobsOf sums up the Jobs of a replicatedJob that have members. The status of a JobSet says
// how many Jobs are complete, but not which ones, nor how far the other Jobs are. Each Job's
// own status says so: it also counts pods that were deleted and, with backoffLimitPerIndex,
// indexes that failed for good and get no pod.
//
// most is the number of pods in those Jobs that the JobSet's status counts as complete.
// It limits the number of succeeded members in Jobs whose object is not known.
func jobsOf(g Gang, job *ReplicatedJob, members []Member, jobs Jobs, most int) jobsOfRole {
	sum, idle := jobsOfRole{}, 0
	for uid, of := range membersByJob(g, members, job.Name) {
		object := jobOf(g, jobs, of.name, uid)
		switch {
		case object != nil && of.busy() && jobEnded(object) == "":
			sum.busy++
			sum.needs += jobNeeds(object, g, of.members)
			sum.done += of.done
		case object != nil:
			sum.done += of.done
		case of.busy():
			sum.busy++
			sum.needs += int(podsOfJob(&job.Template.Spec)) // this includes the members that have succeeded
		default:
			idle += of.done
		}
	}
	sum.done += min(most, idle)
	return sum
}

func membersByJob(g Gang, members []Member, role string) map[types.UID]*jobMembers {
	byJob := map[types.UID]*jobMembers{}
	for _, m := range members {
		if m.Role != role || !g.Has(m) || !Live(m.Pod) {
			continue
		}
		ref := metav1.GetControllerOfNoCopy(m.Pod)
		if ref == nil {
			continue
		}
		of := byJob[ref.UID]
		if of == nil {
			of = &jobMembers{name: ref.Name}
			byJob[ref.UID] = of
		}
		of.members = append(of.members, m)
		if isDone(m) {
			of.done++
		}
	}
	return byJob
}

// jobOf returns the Job with that name and UID, or nil if it is not known.
func jobOf(g Gang, jobs Jobs, name string, uid types.UID) *batchv1.Job {
	job, err := jobs.Job(g.Key.Namespace, name)
	if err != nil || job.UID != uid {
		return nil // the caller uses the status of the JobSet
	}
	return job
}

// JobSetOfJob returns the key of the gang of the JobSet that owns the Job. It returns
// false if the Job does not change the quorum of that gang: the Job has ended, or none of
// its pods has succeeded or failed for good.
func JobSetOfJob(job *batchv1.Job) (Key, bool) {
	owner := metav1.GetControllerOfNoCopy(job)
	if owner == nil || !IsJobSet(owner) || jobEnded(job) != "" {
		return Key{}, false
	}
	failed := job.Status.FailedIndexes
	if succeededPods(job) == 0 && (failed == nil || *failed == "") {
		return Key{}, false
	}
	return JobSetKey(job.Namespace, owner.Name), true
}

// IsJobSet reports that the reference is to a JobSet.
func IsJobSet(ref *metav1.OwnerReference) bool {
	return refersTo(ref, "jobset.x-k8s.io", "JobSet")
}
