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

// VolcanoSource is the Key.Source of gangs declared by a Volcano PodGroup.
const VolcanoSource = "volcano"

// Annotations by which a pod names its Volcano PodGroup, and its part in it.
const (
	volcanoGroupAnnotation    = "scheduling.k8s.io/group-name"
	volcanoGroupAnnotationOwn = "scheduling.volcano.sh/group-name"
	volcanoTaskAnnotation     = "volcano.sh/task-spec"
)

// VolcanoAPIVersion is the version of Volcano's PodGroup that is read.
const VolcanoAPIVersion = "scheduling.volcano.sh/v1beta1"

// VolcanoPodGroup is what is read of a Volcano PodGroup. Volcano's own module is
// not worth its dependencies for two fields.
type VolcanoPodGroup struct {
	metav1.ObjectMeta
	Spec VolcanoPodGroupSpec
}

// VolcanoPodGroupSpec is the part of a Volcano PodGroup's spec that is read. Its
// queue, network topology and sub-groups are Volcano's alone.
type VolcanoPodGroupSpec struct {
	MinMember     int32            `json:"minMember"`
	MinTaskMember map[string]int32 `json:"minTaskMember"`
}

// VolcanoPodGroups looks up Volcano PodGroups.
type VolcanoPodGroups interface {
	VolcanoPodGroup(namespace, name string) (*VolcanoPodGroup, error)
}

// volcanoSource reads the Volcano PodGroup that a pod names by annotation, as
// Kubeflow, LeaderWorkerSet and hand-written manifests use it.
//
// The pods of a RayCluster in KubeRay's volcano mode name a PodGroup too. It
// holds the sum that the RayCluster source makes itself, without saying how much
// of it is the head, and where a RayJob owns it, it is not kept up to date: the
// RayCluster is the truth. A TrainJob's is its JobSet.
type volcanoSource struct {
	groups  VolcanoPodGroups
	jobSets JobSetObjects
}

// NewVolcanoSource returns the source of gangs declared by Volcano PodGroups.
func NewVolcanoSource(groups VolcanoPodGroups, jobSets JobSetObjects) Source {
	return volcanoSource{groups: groups, jobSets: jobSets}
}

// VolcanoKey is the key of the gang that this Volcano PodGroup declares.
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

// madeByKubeRay recognises the names of KubeRay's PodGroups: ray-NAME-pg with the name
// of the RayCluster or of its RayJob.
func madeByKubeRay(pod *corev1.Pod, group string) bool {
	_, ok := rayClusterOf(pod)
	return ok && strings.HasPrefix(group, "ray-") && strings.HasSuffix(group, "-pg")
}

// Role is the task, by whose name minTaskMember counts.
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

// VolcanoOwner returns the key of the JobSet of the TrainJob that owns the
// CoschedulingGroup, if one does.
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

// rolesByTask gives each task its own minimum, and the rest of the quorum to
// whoever is there beyond it.
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
