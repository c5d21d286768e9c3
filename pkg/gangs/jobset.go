// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// JobSetSource is the Key.Source of gangs inferred from a JobSet.
const JobSetSource = "jobset"

// JobSetAPIVersion is the JobSet API version that Dovetail reads.
const JobSetAPIVersion = "jobset.x-k8s.io/v1alpha2"

// Keys that the JobSet controller sets on its pods, as labels and as annotations.
const (
	jobSetName          = "jobset.sigs.k8s.io/jobset-name"
	jobSetUID           = "jobset.sigs.k8s.io/jobset-uid"
	jobSetReplicatedJob = "jobset.sigs.k8s.io/replicatedjob-name"
	jobSetJobIndex      = "jobset.sigs.k8s.io/job-index"
	jobSetJobKey        = "jobset.sigs.k8s.io/job-key"
)

// Annotations that request exclusive placement: a topology domain for each Job alone. With
// jobSetNodeSelector the nodes are labelled beforehand, and no pod has to wait for another.
const (
	jobSetExclusive    = "alpha.jobset.sigs.k8s.io/exclusive-topology"
	jobSetNodeSelector = "alpha.jobset.sigs.k8s.io/node-selector"
)

// jobSetInOrder is the startupPolicyOrder with which the controller creates the Jobs of a
// replicatedJob only when the replicatedJobs before it are ready.
const jobSetInOrder = "InOrder"

// JobSet holds the parts of a JobSet that Dovetail reads. JobSet's own Go module has too
// many dependencies for a few numbers.
type JobSet struct {
	metav1.ObjectMeta
	Spec   JobSetSpec
	Status JobSetStatus
	// Exclusive reports that the JobSet itself requests exclusive placement.
	Exclusive bool
}

// JobSetSpec is the part of a JobSet's spec that is read.
type JobSetSpec struct {
	Suspend        *bool                `json:"suspend"`
	StartupPolicy  *JobSetStartupPolicy `json:"startupPolicy"`
	ReplicatedJobs []ReplicatedJob      `json:"replicatedJobs"`
}

// JobSetStatus is the part of a JobSet's status that is read.
type JobSetStatus struct {
	ReplicatedJobsStatus []ReplicatedJobStatus `json:"replicatedJobsStatus"`
}

// ReplicatedJobStatus counts the complete Jobs of a replicatedJob. A scheduler does not see
// pods that have ended, so it needs this count.
type ReplicatedJobStatus struct {
	Name      string `json:"name"`
	Succeeded int32  `json:"succeeded"`
}

// JobSetStartupPolicy gives the order in which Jobs are created.
type JobSetStartupPolicy struct {
	StartupPolicyOrder string `json:"startupPolicyOrder"`
}

// ReplicatedJob is a number of equal Jobs. From its template Dovetail reads the numbers of
// pods, the pods' labels, priorityClassName and schedulerName, and the Job's annotations.
type ReplicatedJob struct {
	Name      string                  `json:"name"`
	Replicas  *int32                  `json:"replicas"`
	DependsOn []JobSetDependency      `json:"dependsOn"`
	Template  batchv1.JobTemplateSpec `json:"template"`
}

// JobSetDependency names a replicatedJob that must be ready or complete before the Jobs of
// another are created.
type JobSetDependency struct {
	Name string `json:"name"`
}

// JobSets looks up JobSets.
type JobSets interface {
	JobSet(namespace, name string) (*JobSet, error)
}

// jobSetSource infers a gang from the JobSet that created the pod's Job. A pod label names
// the JobSet; no object declares a gang.
//
// The controller creates some Jobs only after others are ready or complete (startup in
// order, dependsOn). Their pods start together once those run, and near them: a gang of all
// Jobs would wait for ever. With exclusive placement JobSet requires the first pod of every
// Job to start alone; the other pods of the Job start together after it.
type jobSetSource struct {
	sets JobSets
}

// NewJobSetSource returns the source of gangs inferred from JobSets.
func NewJobSetSource(sets JobSets) Source {
	return jobSetSource{sets: sets}
}

// JobSetKey returns the key of the gang inferred from that JobSet.
func JobSetKey(namespace, name string) Key {
	return Key{Source: JobSetSource, Namespace: namespace, Name: name}
}

func (jobSetSource) Name() string { return JobSetSource }

func (jobSetSource) Key(pod *corev1.Pod) (Key, bool) {
	set := pod.Labels[jobSetName]
	if set == "" {
		return Key{}, false
	}
	return JobSetKey(pod.Namespace, set), true
}

func (jobSetSource) Role(pod *corev1.Pod) string { return pod.Labels[jobSetReplicatedJob] }

func (jobSetSource) Rank(pod *corev1.Pod) Rank { return rankOf(pod, jobSetJobIndex, completionIndex) }

func (jobSetSource) Replica(pod *corev1.Pod) string { return jobSetReplica(pod) }

func (jobSetSource) Maker(pod *corev1.Pod) types.UID { return groupMaker(pod) }

func (s jobSetSource) Gang(key Key, members []Member) (Gang, error) {
	return gangOfJobSet(key, key, s.sets, members)
}

// jobSetReplica returns the Job key of a pod with exclusive placement, "" for other pods.
func jobSetReplica(pod *corev1.Pod) string {
	if pod.Labels[jobSetName] == "" || !AsksForExclusivePlacement(pod.Annotations) {
		return ""
	}
	return pod.Labels[jobSetJobKey]
}

// AsksForExclusivePlacement reports that the annotations of a JobSet, a Job template or a
// pod request a domain for each Job, in the mode in which pods wait for one another.
func AsksForExclusivePlacement(annotations map[string]string) bool {
	_, asks := annotations[jobSetExclusive]
	_, prepared := annotations[jobSetNodeSelector]
	return asks && !prepared
}

func completionIndexOf(pod *corev1.Pod) string {
	if index, ok := pod.Labels[completionIndex]; ok {
		return index
	}
	return pod.Annotations[completionIndex]
}

// gangOfJobSet returns the gang that the JobSet with key of describes, under the given key.
// It returns an error if the lookup of the JobSet fails.
func gangOfJobSet(key, of Key, sets JobSets, members []Member) (Gang, error) {
	set, err := sets.JobSet(of.Namespace, of.Name)
	if err != nil {
		return Gang{}, err
	}
	g := Gang{
		Key:      key,
		UID:      set.UID,
		Topology: topologyOf(set.Annotations),
		Owner: corev1.ObjectReference{
			APIVersion: JobSetAPIVersion,
			Kind:       "JobSet",
			Namespace:  set.Namespace,
			Name:       set.Name,
			UID:        set.UID,
		},
		Created:  set.CreationTimestamp.Time,
		Controls: true,
		Roles:    jobSetRoles(set),
	}
	switch name := JobSetKey(set.Namespace, set.Name); {
	case set.DeletionTimestamp != nil:
		g.Problem = fmt.Sprintf("%s is being deleted", name)
	case isTrue(set.Spec.Suspend):
		g.Problem = fmt.Sprintf("%s is suspended: spec.suspend is true", name)
	}
	for i := range set.Spec.ReplicatedJobs {
		job := &set.Spec.ReplicatedJobs[i]
		addDone(g, members, job.Name, set.done(job.Name)*podsOfJob(&job.Template.Spec))
	}
	for _, r := range g.Roles {
		g.Min += r.Min
	}
	return g, nil
}

// jobSetRoles returns a role for each replicatedJob that creates pods for the gang, by
// name.
func jobSetRoles(set *JobSet) []Role {
	inOrder := set.Spec.StartupPolicy != nil && set.Spec.StartupPolicy.StartupPolicyOrder == jobSetInOrder
	var roles []Role
	for i := range set.Spec.ReplicatedJobs {
		job := &set.Spec.ReplicatedJobs[i]
		if initialises(job.Name, job.Template.Spec.Template.Labels) {
			continue
		}
		later := inOrder && len(roles) > 0 || waitsForAnother(job, roles)
		alone := set.Exclusive || AsksForExclusivePlacement(job.Template.Annotations)
		roles = append(roles, replicatedJobRole(job, set.done(job.Name), later, alone))
	}
	slices.SortFunc(roles, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	return roles
}

// waitsForAnother reports that the replicatedJob depends on one that has a role in before.
// JobSet allows dependencies only on replicatedJobs earlier in the list.
func waitsForAnother(job *ReplicatedJob, before []Role) bool {
	return slices.ContainsFunc(job.DependsOn, func(on JobSetDependency) bool {
		return slices.ContainsFunc(before, func(r Role) bool { return r.Name == on.Name })
	})
}

// done returns how many Jobs of a replicatedJob are complete and create no more pods.
func (s *JobSet) done(name string) int64 {
	for i := range s.Status.ReplicatedJobsStatus {
		if status := &s.Status.ReplicatedJobsStatus[i]; status.Name == name {
			return int64(status.Succeeded)
		}
	}
	return 0
}

func replicatedJobRole(job *ReplicatedJob, done int64, later, alone bool) Role {
	replicas, each := valueOr(job.Replicas, 1)-done, podsOfJob(&job.Template.Spec)
	r := Role{Name: job.Name, Want: pods(replicas, each)}
	switch {
	case alone:
		r.Want, r.Step = pods(replicas, each-1), int(max(0, each-1))
	case later:
		r.Step = r.Want
	default:
		r.Min = r.Want
	}
	return r
}

// podsOfJob returns how many pods of a Job run at first: parallelism, at most completions.
func podsOfJob(spec *batchv1.JobSpec) int64 {
	parallel := valueOr(spec.Parallelism, 1)
	if spec.Completions == nil {
		return parallel
	}
	return min(parallel, int64(*spec.Completions))
}
