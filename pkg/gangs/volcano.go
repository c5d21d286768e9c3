// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// VolcanoSource is the Key.Source (the way of declaring, in a gang's key) of gangs declared
// by a Volcano PodGroup.
const VolcanoSource = "volcano"

// Annotations in which a pod names its Volcano PodGroup, and its task in the group.
const (
	volcanoGroupAnnotation    = "scheduling.k8s.io/group-name"
	volcanoGroupAnnotationOwn = "scheduling.volcano.sh/group-name"
	volcanoTaskAnnotation     = "volcano.sh/task-spec"
)

// VolcanoAPIVersion is the API version of Volcano's PodGroup that Dovetail reads.
const VolcanoAPIVersion = "scheduling.volcano.sh/v1beta1"

// VolcanoPodGroup holds the parts of a Volcano PodGroup that Dovetail reads. Volcano's own
// Go module has too many dependencies for two fields.
type VolcanoPodGroup struct {
	metav1.ObjectMeta
	Spec VolcanoPodGroupSpec
}

// VolcanoPodGroupSpec is the part of a Volcano PodGroup's spec that Dovetail reads. The
// queue, the network topology and the sub-groups have an effect only in Volcano's scheduler.
type VolcanoPodGroupSpec struct {
	MinMember     int32            `json:"minMember"`
	MinTaskMember map[string]int32 `json:"minTaskMember"`
}

// VolcanoPodGroups looks up Volcano PodGroups.
type VolcanoPodGroups interface {
	VolcanoPodGroup(namespace, name string) (*VolcanoPodGroup, error)
}

// volcanoSource is the Source (reader of gang declarations) for the Volcano PodGroup that
// a pod annotation names. Kubeflow, LeaderWorkerSet and hand-written manifests set that
// annotation.
//
// The pods of a RayCluster in KubeRay's volcano mode name a PodGroup too. Its minimum is
// the sum that the RayCluster source computes itself, and does not show how the sum is
// divided between head and workers. A PodGroup that a RayJob owns is not kept up to date.
// The gang of such pods is therefore read from the RayCluster, and that of a TrainJob
// from its JobSet.
type volcanoSource struct {
	groups  VolcanoPodGroups
	jobSets JobSetObjects
}

// NewVolcanoSource returns the source of gangs declared by Volcano PodGroups.
func NewVolcanoSource(groups VolcanoPodGroups, jobSets JobSetObjects) Source {
	return volcanoSource{groups: groups, jobSets: jobSets}
}

// VolcanoKey returns the key of the gang that this Volcano PodGroup declares.
func VolcanoKey(namespace, name string) Key {
	return Key{Source: VolcanoSource, Namespace: namespace, Name: name}
}

func (volcanoSource) Name() string { return VolcanoSource }

func (volcanoSource) Key(pod *corev1.Pod) (Key, bool) {
	group := cmp.Or(pod.Annotations[volcanoGroupAnnotation], pod.Annotations[volcanoGroupAnnotationOwn])
	if group == "" || madeByKubeRay(pod, group) {
		return Key{}, false
	}
	return VolcanoKey(pod.Namespace, group), true
}

// madeByKubeRay reports whether the pod is a Ray pod and the group has a name that
// KubeRay gives: ray-NAME-pg with the name of the RayCluster or of its RayJob.
func madeByKubeRay(pod *corev1.Pod, group string) bool {
	_, ok := rayClusterOf(pod)
	return ok && strings.HasPrefix(group, "ray-") && strings.HasSuffix(group, "-pg")
}

// Role returns the pod's task, which is a key of minTaskMember. For a JobSet pod or a pod
// without a task it returns the role (members with one task) that other labels give.
func (volcanoSource) Role(pod *corev1.Pod) string {
	if task := pod.Annotations[volcanoTaskAnnotation]; task != "" && pod.Labels[jobSetName] == "" {
		return task
	}
	return groupRole(pod)
}

func (volcanoSource) Rank(pod *corev1.Pod) Rank { return groupRank(pod) }

func (volcanoSource) Replica(pod *corev1.Pod) string { return groupReplica(pod) }

func (volcanoSource) Maker(pod *corev1.Pod) types.UID { return groupMaker(pod) }

func (s volcanoSource) Gang(key Key, members []Member) (Gang, error) {
	group, err := s.groups.VolcanoPodGroup(key.Namespace, key.Name)
	if err != nil {
		return Gang{}, err
	}
	if truth, ok := VolcanoOwner(group); ok {
		return gangOfJobSet(key, truth, s.jobSets, members)
	}
	g := Gang{
		Key:      key,
		UID:      group.UID,
		Min:      int(group.Spec.MinMember),
		MinField: "spec.minMember",
		Topology: topologyOf(group.Annotations),
		RunTime:  runTimeOf(&group.ObjectMeta, key.String(), Limit{}),
		Owner: corev1.ObjectReference{
			APIVersion: VolcanoAPIVersion,
			Kind:       "PodGroup",
			Namespace:  group.Namespace,
			Name:       group.Name,
			UID:        group.UID,
		},
		Created: group.CreationTimestamp.Time,
		Problem: volcanoProblem(key, group),
	}
	if g.Problem != "" {
		return g, nil
	}
	ofTasks := 0
	for _, n := range group.Spec.MinTaskMember {
		ofTasks += int(n)
	}
	if ofTasks > g.Min {
		g.Min, g.MinField = ofTasks, "the sum of spec.minTaskMember"
	}
	g.Roles = rolesByTask(g, members, group.Spec.MinTaskMember, g.Min-ofTasks)
	return g, nil
}

// VolcanoOwner returns the key of the JobSet of the TrainJob that owns the PodGroup, if a
// TrainJob does.
func VolcanoOwner(group *VolcanoPodGroup) (Key, bool) {
	for i := range group.OwnerReferences {
		if ref := &group.OwnerReferences[i]; isTrainJob(ref) {
			return JobSetKey(group.Namespace, ref.Name), true
		}
	}
	return Key{}, false
}

func volcanoProblem(key Key, group *VolcanoPodGroup) string {
	if group.DeletionTimestamp != nil {
		return fmt.Sprintf("%s is being deleted", key)
	}
	if group.Spec.MinMember < 1 {
		return fmt.Sprintf("spec.minMember of %s is %d, but must be at least 1", key, group.Spec.MinMember)
	}
	for _, task := range slices.Sorted(maps.Keys(group.Spec.MinTaskMember)) {
		if n := group.Spec.MinTaskMember[task]; n < 0 {
			return fmt.Sprintf("spec.minTaskMember[%s] of %s is %d, but must be at least 0", task, key, n)
		}
	}
	return ""
}

// rolesByTask returns a role for each task, with the task's minimum. The quorum (the members
// that must start together) has spare members more than these minimums together.
// rolesByTask adds them to the roles of the members beyond the minimums, in the order in
// which members join a quorum (those with nodes first).
func rolesByTask(g Gang, members []Member, mins map[string]int32, spare int) []Role {
	byName := map[string]*Role{}
	for task, n := range mins {
		byName[task] = &Role{Name: task, Min: int(n)}
	}
	for _, m := range quorumOrder(g, members) {
		r := byName[m.Role]
		if r == nil {
			r = &Role{Name: m.Role}
			byName[m.Role] = r
		}
		r.Want++
		if r.Want > r.Min && spare > 0 {
			r.Min++
			spare--
		}
	}
	roles := make([]Role, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		r := *byName[name]
		r.Want = max(r.Want, r.Min)
		roles = append(roles, r)
	}
	return roles
}
