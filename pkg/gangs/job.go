// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JobSource is the Key.Source of gangs that are the pods of a Job.
const JobSource = "job"

// GangAnnotation with the value "true" makes a gang of all pods of a Job that run at the
// same time. It is an annotation or a label, on the Job or on its pod template.
const GangAnnotation = AnnotationPrefix + "gang"

// The values of GangAnnotation.
const (
	gangAsked   = "true"
	gangRefused = "false"
)

// jobRole is the only role of a Job: all its pods have one template.
const jobRole = "pods"

// Jobs looks up Jobs. Only their metadata, the numbers and suspend of their spec and
// status.succeeded are read. A GangAnnotation label is expected among the annotations.
type Jobs interface {
	Job(namespace, name string) (*batchv1.Job, error)
}

// jobSource makes a gang of the pods of a Job that requests it. Most Jobs do not: their
// pods are independent, and holding them back would be wrong.
//
// An annotation on the Job alone is not visible on its pods. The source therefore takes a
// pod of an unknown Job for a member, and the pod is held back until the Job is known.
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
	group, _, _ := strings.Cut(ref.APIVersion, "/")
	return ref.Kind == "Job" && group == batchv1.GroupName
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
	needs := jobNeeds(job)
	g.Roles = []Role{{Name: jobRole, Min: needs, Want: needs}}
	addDone(g, members, jobRole, math.MaxInt32)
	g.Min = g.Roles[0].Min
	wantWhatIsThere(g, members)
	switch {
	case job.DeletionTimestamp != nil:
		g.Problem = fmt.Sprintf("%s is being deleted", key)
	case isTrue(job.Spec.Suspend):
		g.Problem = fmt.Sprintf("%s is suspended: spec.suspend is true", key)
	case asked != gangAsked:
		g.Problem = fmt.Sprintf("annotation %s of %s is %q, but must be %q or %q", GangAnnotation, by, asked, gangAsked, gangRefused)
	}
	return g, nil
}

// jobNeeds returns how many pods run at the same time: parallelism, or the number left to
// complete if that is lower. A Job without completions creates no new pod once one has
// succeeded.
func jobNeeds(job *batchv1.Job) int {
	parallel, done := valueOr(job.Spec.Parallelism, 1), int64(job.Status.Succeeded)
	if job.Spec.Completions == nil {
		return pods(parallel-done, 1)
	}
	return pods(min(parallel, int64(*job.Spec.Completions)-done), 1)
}
