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

// GangAnnotation asks for a gang of all pods of a Job that run at a time. It is an
// annotation or a label, of the Job or of its pod template, with the value "true".
const GangAnnotation = AnnotationPrefix + "gang"

// The values of GangAnnotation.
const (
	gangAsked   = "true"
	gangRefused = "false"
)

// jobRole is the one role of a Job: its pods have one template.
const jobRole = "pods"

// Jobs looks up Jobs. Read are their metadata, with the label of GangAnnotation
// among the annotations, the numbers of their spec and status.succeeded.
type Jobs interface {
	Job(namespace, name string) (*batchv1.Job, error)
}

// jobSource makes a gang of the pods of a Job that asks for it. Most Jobs do not:
// their pods are independent, and to hold them back would be wrong.
//
// A mark on the Job alone cannot be seen on its pods. So a pod of a Job that is
// not known yet is taken for a member, and held for the moment that it takes to
// learn whether it is one.
type jobSource struct {
	jobs Jobs
}

// NewJobSource returns the source of gangs that Jobs ask for.
func NewJobSource(jobs Jobs) Source {
	return jobSource{jobs: jobs}
}

// JobKey is the key of the gang of that Job's pods.
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

// jobNeeds is how many pods run at a time: parallelism, or as many as are left to
// complete. A Job without completions makes no new pod once one has succeeded.
func jobNeeds(job *batchv1.Job) int {
	parallel, done := valueOr(job.Spec.Parallelism, 1), int64(job.Status.Succeeded)
	if job.Spec.Completions == nil {
		return pods(parallel-done, 1)
	}
	return pods(min(parallel, int64(*job.Spec.Completions)-done), 1)
}
