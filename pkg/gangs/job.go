// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JobSource is the Key.Source (the way of declaring, in a gang's key) of gangs that are the
// pods of a Job.
const JobSource = "job"

// The values of GangAnnotation, with which a Job requests, or refuses, that its pods are a
// gang.
const (
	gangAsked   = "true"
	gangRefused = "false"
)

// jobRole is the role (members with one task) of all pods of a Job: they have one template.
const jobRole = "pods"

// Jobs looks up Jobs. The objects have only these fields: metadata (a label with the key
// GangAnnotation is copied to the annotations), suspend, the pod counts, completionMode and
// activeDeadlineSeconds of the spec and, of the status, the pods and indexes that have ended
// and the conditions after which the Job creates no more pods.
type Jobs interface {
	Job(namespace, name string) (*batchv1.Job, error)
}

// jobSource is the Source (reader of gang declarations) for Jobs that request that their
// pods are a gang. Most Jobs do not: their pods are independent and must not wait for
// each other.
//
// An annotation that only the Job has is not visible on its pods. jobSource therefore takes
// a pod of an unknown Job for a member, and the pod waits until the Job is known.
type jobSource struct {
	jobs Jobs
}

// NewJobSource returns the source of gangs that Jobs request.
func NewJobSource(jobs Jobs) Source {
	return jobSource{jobs: jobs}
}

// JobKey returns the key of the gang of that Job's pods.
func JobKey(namespace, name string) Key {
	return Key{Source: JobSource, Namespace: namespace, Name: name}
}

func (jobSource) Name() string { return JobSource }

func (s jobSource) Key(pod *corev1.Pod) (Key, bool) {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil || !isJob(ref) {
		return Key{}, false
	}
	key := JobKey(pod.Namespace, ref.Name)
	if text := asksForGang(&pod.ObjectMeta); text != "" {
		return key, text != gangRefused
	}
	job, err := s.jobs.Job(key.Namespace, key.Name)
	if err != nil {
		return key, mayStillCome(err)
	}
	text := asksForGang(&job.ObjectMeta)
	return key, job.UID != ref.UID || text != "" && text != gangRefused
}

func isJob(ref *metav1.OwnerReference) bool {
	return refersTo(ref, batchv1.GroupName, "Job")
}

func asksForGang(meta *metav1.ObjectMeta) string {
	return cmp.Or(meta.Annotations[GangAnnotation], meta.Labels[GangAnnotation])
}

func (jobSource) Role(*corev1.Pod) string { return jobRole }

func (jobSource) Rank(pod *corev1.Pod) Rank { return rankOf(pod, "", completionIndex) }

func (s jobSource) Gang(key Key, members []Member) (Gang, error) {
	job, err := s.jobs.Job(key.Namespace, key.Name)
	if err != nil {
		return Gang{}, err
	}
	g := Gang{
		Key:      key,
		UID:      job.UID,
		Topology: topologyOf(job.Annotations),
		RunTime:  runTimeOf(&job.ObjectMeta, key.String(), deadlineOf(job.Spec.ActiveDeadlineSeconds, activeDeadline, key.String())),
		Owner: corev1.ObjectReference{
			APIVersion: batchv1.SchemeGroupVersion.String(),
			Kind:       "Job",
			Namespace:  job.Namespace,
			Name:       job.Name,
			UID:        job.UID,
		},
		Created:  job.CreationTimestamp.Time,
		Controls: true,
	}
	asked, by := asksForGang(&job.ObjectMeta), key.String()
	for _, m := range liveByName(g, members) {
		if text := asksForGang(&m.Pod.ObjectMeta); text != "" {
			asked, by = text, "pod "+m.Pod.Name+" of "+key.String()
			break
		}
	}
	if asked == "" || asked == gangRefused {
		return Gang{}, &LookupError{Key: key, Reason: ErrNoGang}
	}
	needs := jobNeeds(job, g, members)
	g.Roles = []Role{{Name: jobRole, Min: needs, Want: needs}}
	addDone(g, jobRole, countDone(g, members))
	g.Min = g.Roles[0].Min
	wantWhatIsThere(g, members)
	switch ended := jobEnded(job); {
	case job.DeletionTimestamp != nil:
		g.Problem = fmt.Sprintf("%s is being deleted", key)
	case ended != "":
		g.Problem = fmt.Sprintf("%s makes no more pods: condition %s is true", key, ended)
	case isTrue(job.Spec.Suspend):
		g.Problem = fmt.Sprintf("%s is suspended: spec.suspend is true", key)
	case asked != gangAsked:
		g.Problem = fmt.Sprintf("annotation %s of %s is %q, but must be %q or %q", GangAnnotation, by, asked, gangAsked, gangRefused)
	}
	return g, nil
}

// jobNeeds returns how many members the quorum (the members that must start together)
// needs besides those that have succeeded: the number of pods that the Job runs at a
// time, and never more than the Job will still create.
func jobNeeds(job *batchv1.Job, g Gang, members []Member) int {
	parallel, left := valueOr(job.Spec.Parallelism, 1), int64(0)
	switch {
	case jobEnded(job) != "":
	case job.Spec.Completions == nil:
		left = leftWithoutCompletions(job, g, members)
	case isIndexed(job):
		left = indexesLeft(job, g, members)
	default:
		left = int64(*job.Spec.Completions) - succeededPods(job)
	}
	return pods(min(parallel, left), 1)
}

// EndsJob reports whether a Job creates no more pods once its condition of this type is
// true.
func EndsJob(condition string) bool {
	switch batchv1.JobConditionType(condition) {
	case batchv1.JobComplete, batchv1.JobFailed, batchv1.JobSuccessCriteriaMet, batchv1.JobFailureTarget:
		return true
	default:
		return false
	}
}

// jobEnded returns the condition that ended the Job, "" if none did.
func jobEnded(job *batchv1.Job) string {
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; c.Status == corev1.ConditionTrue && EndsJob(string(c.Type)) {
			return string(c.Type)
		}
	}
	return ""
}

// succeededPods returns how many pods of a Job have succeeded: those in status.succeeded,
// and those that the Job controller still lists by UID because it has not removed their
// finalizer yet.
func succeededPods(job *batchv1.Job) int64 {
	done := int64(job.Status.Succeeded)
	if uncounted := job.Status.UncountedTerminatedPods; uncounted != nil {
		done += int64(len(uncounted.Succeeded))
	}
	return done
}

// leftWithoutCompletions returns how many pods a Job without spec.completions still has
// to run. Once a pod has succeeded, such a Job creates no more pods: only its existing
// pods that have not succeeded are left.
func leftWithoutCompletions(job *batchv1.Job, g Gang, members []Member) int64 {
	if succeededPods(job) == 0 {
		return valueOr(job.Spec.Parallelism, 1)
	}
	return int64(len(liveByName(g, members)) - countDone(g, members))
}

func isIndexed(job *batchv1.Job) bool {
	mode := job.Spec.CompletionMode
	return mode != nil && *mode == batchv1.IndexedCompletion
}

// indexesLeft returns how many indexes of a Job are neither complete nor failed for good.
// A succeeded pod that still has the Job's finalizer completes an index that the status
// may not list yet. Without the finalizer only the status says which indexes are complete: a
// Job that was scaled down and up runs indexes again whose pods have succeeded.
func indexesLeft(job *batchv1.Job, g Gang, members []Member) int64 {
	ended := parseIndexes(job.Status.CompletedIndexes)
	if failed := job.Status.FailedIndexes; failed != nil {
		ended = append(ended, parseIndexes(*failed)...)
	}
	for _, m := range members {
		index, ok := indexAt(m.Pod, completionIndex)
		if ok && g.Has(m) && isDone(m) && slices.Contains(m.Pod.Finalizers, batchv1.JobTrackingFinalizer) {
			ended = append(ended, indexRange{index, index})
		}
	}
	completions := int64(*job.Spec.Completions)
	return completions - countIndexes(ended, completions)
}
