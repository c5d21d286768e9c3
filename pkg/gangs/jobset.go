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

// JobSetSource is the Key.Source (the way of declaring, in a gang's key) of gangs inferred
// from a JobSet.
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
	jobSetAttempt       = "jobset.sigs.k8s.io/restart-attempt"
)

// Annotations that request exclusive placement: each Job of a JobSet gets a topology
// domain (nodes with one value of a label) of its own. With jobSetNodeSelector an
// administrator has labelled the nodes beforehand, and no pod has to wait for another.
const (
	jobSetExclusive    = "alpha.jobset.sigs.k8s.io/exclusive-topology"
	jobSetNodeSelector = "alpha.jobset.sigs.k8s.io/node-selector"
)

// jobSetInOrder is the startupPolicyOrder with which the controller creates the Jobs of a
// replicatedJob only when the replicatedJobs before it are ready.
const jobSetInOrder = "InOrder"

// JobSet holds the parts of a JobSet that Dovetail reads. It stands in for the type of
// JobSet's own Go module, which has too many dependencies.
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

// JobSetStartupPolicy is the order in which the Jobs of a JobSet are created.
type JobSetStartupPolicy struct {
	StartupPolicyOrder string `json:"startupPolicyOrder"`
}

// ReplicatedJob is a number of equal Jobs. From its template Dovetail reads the numbers of
// pods, the pods' labels, priorityClassName and schedulerName, and the Job's annotations and
// activeDeadlineSeconds.
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

// JobSetObjects looks up JobSets and their Jobs.
type JobSetObjects interface {
	JobSets
	Jobs
}

// jobSetSource infers a gang from the JobSet that created the pod's Job. The pod names
// the JobSet by label; no object declares the gang.
//
// The controller creates some Jobs only after others are ready or complete (startup in
// order, dependsOn). A gang that waited for the pods of all Jobs would wait for ever. The
// pods of a later Job therefore start together after the gang runs, and near its members.
// With exclusive placement JobSet requires the first pod of every Job to start before its
// other pods; these start together after it.
type jobSetSource struct {
	objects JobSetObjects
}

// NewJobSetSource returns the source of gangs inferred from JobSets.
func NewJobSetSource(objects JobSetObjects) Source {
	return jobSetSource{objects: objects}
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
	return gangOfJobSet(key, key, s.objects, members)
}

// jobSetReplica returns the label value that identifies the Job of a pod with exclusive
// placement, or "" for a pod without.
func jobSetReplica(pod *corev1.Pod) string {
	if pod.Labels[jobSetName] == "" || !AsksForExclusivePlacement(pod.Annotations) {
		return ""
	}
	return pod.Labels[jobSetJobKey]
}

// AsksForExclusivePlacement reports whether the annotations of a JobSet, a Job template
// or a pod request a topology domain for each Job, in the mode in which the pods of a Job
// wait for its first pod.
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

// gangOfJobSet returns the gang that a JobSet describes. of is the key of the JobSet's
// own gang, key the key of the returned gang.
func gangOfJobSet(key, of Key, objects JobSetObjects, members []Member) (Gang, error) {
	set, err := objects.JobSet(of.Namespace, of.Name)
	if err != nil {
		return Gang{}, err
	}
	g := Gang{
		Key:      key,
		UID:      set.UID,
		Topology: topologyOf(set.Annotations),
		RunTime:  runTimeOf(&set.ObjectMeta, of.String(), set.deadline(of.String())),
		Owner: corev1.ObjectReference{
			APIVersion: JobSetAPIVersion,
			Kind:       "JobSet",
			Namespace:  set.Namespace,
			Name:       set.Name,
			UID:        set.UID,
		},
		Created:  set.CreationTimestamp.Time,
		Controls: true,
		Attempt:  set.attempt(),
	}
	switch name, ended := JobSetKey(set.Namespace, set.Name), set.ended(); {
	case set.DeletionTimestamp != nil:
		g.Problem = fmt.Sprintf("%s is being deleted", name)
	case ended != "":
		g.Problem = fmt.Sprintf("%s makes no more pods: condition %s is true", name, ended)
	case isTrue(set.Spec.Suspend):
		g.Problem = fmt.Sprintf("%s is suspended: spec.suspend is true", name)
	}
	g.Roles = jobSetRoles(g, set, members, objects)
	for _, r := range g.Roles {
		g.Min += r.Min
	}
	return g, nil
}

// jobSetRoles returns a role (members with one task) for each replicatedJob of the JobSet,
// sorted by name. It omits replicatedJobs whose pods only fetch data for the training.
func jobSetRoles(g Gang, set *JobSet, members []Member, jobs Jobs) []Role {
	var roles []Role
	for i := range set.Spec.ReplicatedJobs {
		job := &set.Spec.ReplicatedJobs[i]
		if initialises(job.Name, job.Template.Spec.Template.Labels) {
			continue
		}
		done, each := set.done(job), podsOfJob(&job.Template.Spec)
		left := valueOr(job.Replicas, 1) - done
		if set.Exclusive || AsksForExclusivePlacement(job.Template.Annotations) {
			roles = append(roles, Role{Name: job.Name, Want: pods(left, each-1), Step: int(max(0, each-1))})
			continue
		}
		roles = append(roles, jobsRole(jobsOf(g, job, members, jobs, pods(done, each)), job.Name, left, each, set.later(i)))
	}
	slices.SortFunc(roles, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	return roles
}

// later reports whether the Jobs of the i-th replicatedJob are created after those of an earlier
// one with pods in the gang: it depends on that one, or the startup policy says so. JobSet allows
// no dependencies on later replicatedJobs.
func (s *JobSet) later(i int) bool {
	inOrder := s.Spec.StartupPolicy != nil && s.Spec.StartupPolicy.StartupPolicyOrder == jobSetInOrder
	for j := range s.Spec.ReplicatedJobs[:i] {
		before := &s.Spec.ReplicatedJobs[j]
		if initialises(before.Name, before.Template.Spec.Template.Labels) {
			continue
		}
		dependsOnIt := func(on JobSetDependency) bool { return on.Name == before.Name }
		if inOrder || slices.ContainsFunc(s.Spec.ReplicatedJobs[i].DependsOn, dependsOnIt) {
			return true
		}
	}
	return false
}

// deadline returns the time after which the Jobs of a JobSet have ended: the longest
// activeDeadlineSeconds of a replicatedJob. It returns no limit if a replicatedJob has none, or
// is created after another one, because the JobSet may then run longer. It ignores replicatedJobs
// whose pods only fetch data: they are not in the gang. object is the JobSet's name in
// sentences.
func (s *JobSet) deadline(object string) Limit {
	longest := Limit{}
	for i := range s.Spec.ReplicatedJobs {
		job := &s.Spec.ReplicatedJobs[i]
		if initialises(job.Name, job.Template.Spec.Template.Labels) {
			continue
		}
		own := deadlineOf(job.Template.Spec.ActiveDeadlineSeconds, jobSetActiveDeadline, object)
		if !own.Known() || s.later(i) {
			return Limit{}
		}
		if own.Duration > longest.Duration {
			longest = own
		}
	}
	return longest
}

// jobsRole returns the role of a replicatedJob. jobs sums up its Jobs that have pods.
// left is the number of its Jobs that are not complete, and each the number of pods of a
// Job that has none yet. later is true if its Jobs are created after others.
func jobsRole(jobs jobsOfRole, name string, left, each int64, later bool) Role {
	r := Role{Name: name}
	if left > 0 {
		r.Want = jobs.needs + pods(left-jobs.busy, each)
	}
	if later {
		r.Step = r.Want
		return r
	}
	if r.Min = r.Want; r.Min > 0 {
		r.Min += jobs.done
		r.Want = r.Min
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
