// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
)

// PodGroupSource is the Key.Source of gangs declared by a scheduler-plugins
// PodGroup.
const PodGroupSource = "podgroup"

// PodGroupLabel is how a pod names its scheduler-plugins PodGroup.
const PodGroupLabel = schedv1alpha1.PodGroupLabel

// Labels and annotations by which controllers number their pods.
const (
	completionIndex = "batch.kubernetes.io/job-completion-index"
	jobSetJobIndex  = "jobset.sigs.k8s.io/job-global-index"
	kubeflowIndex   = "training.kubeflow.org/replica-index"
	statefulIndex   = "apps.kubernetes.io/pod-index"
)

// PodGroups looks up scheduler-plugins PodGroups. Only their metadata and spec
// are read.
type PodGroups interface {
	PodGroup(namespace, name string) (*schedv1alpha1.PodGroup, error)
}

// podGroupSource reads the PodGroup that a pod names by label, as Kubeflow,
// KubeRay in scheduler-plugins mode and hand-written manifests use it.
//
// KubeRay creates its PodGroup once and never updates it, so after a resize,
// with a suspended group or with autoscaling its minMember is wrong. The
// RayCluster is the truth: a head or worker whose label names its own
// RayCluster is left to the RayCluster source, and a PodGroup that a RayCluster
// owns lends only its name, the roles and the minimum being the RayCluster's.
//
// minResources and scheduleTimeoutSeconds are not read: the plan answers
// exactly what minResources guesses, and no gang ever waits holding something.
type podGroupSource struct {
	groups   PodGroups
	clusters RayClusters
}

// NewPodGroupSource returns the source of gangs declared by scheduler-plugins
// PodGroups.
func NewPodGroupSource(groups PodGroups, clusters RayClusters) Source {
	return podGroupSource{groups: groups, clusters: clusters}
}

// PodGroupKey is the key of the gang that this PodGroup declares.
func PodGroupKey(namespace, name string) Key {
	return Key{Source: PodGroupSource, Namespace: namespace, Name: name}
}

func (podGroupSource) Name() string { return PodGroupSource }

func (podGroupSource) Key(pod *corev1.Pod) (Key, bool) {
	group := pod.Labels[PodGroupLabel]
	if group == "" {
		return Key{}, false
	}
	if cluster, ok := rayClusterOf(pod); ok && cluster == group {
		return Key{}, false
	}
	return PodGroupKey(pod.Namespace, group), true
}

// Role of a Ray pod is its group, because its PodGroup may be a RayCluster's.
// Any other PodGroup knows no roles: pods of one shape are one.
func (podGroupSource) Role(pod *corev1.Pod) string {
	if _, ok := rayClusterOf(pod); ok {
		return rayRole(pod)
	}
	return shapeRole(pod)
}

func (podGroupSource) Rank(pod *corev1.Pod) Rank {
	if _, ok := rayClusterOf(pod); ok {
		return rayRank(pod)
	}
	if rank := rankOf(pod, jobSetJobIndex, completionIndex); rank.Known {
		return rank
	}
	if rank := rankOf(pod, "", kubeflowIndex); rank.Known {
		return rank
	}
	return rankOf(pod, "", statefulIndex)
}

func (s podGroupSource) Gang(key Key, members []Member) (Gang, error) {
	group, err := s.groups.PodGroup(key.Namespace, key.Name)
	if err != nil {
		return Gang{}, err
	}
	if truth, ok := PodGroupTruth(group); ok {
		return s.rayOwned(key, truth, group)
	}
	g := podGroupGang(key, group)
	g.Roles = rolesByQuorum(g, members)
	return g, nil
}

// rayOwned takes everything from the RayCluster but the key, and the
// PodGroup's topology wish where the RayCluster has none.
func (s podGroupSource) rayOwned(key, truth Key, group *schedv1alpha1.PodGroup) (Gang, error) {
	cluster, err := s.clusters.RayCluster(truth.Namespace, truth.Name)
	if err != nil {
		return Gang{}, err
	}
	g := rayGang(key, cluster)
	g.Controls = true
	own := topologyOf(group.Annotations)
	g.Topology.Required = cmp.Or(g.Topology.Required, own.Required)
	g.Topology.Preferred = cmp.Or(g.Topology.Preferred, own.Preferred)
	g.Topology.Alignment = cmp.Or(g.Topology.Alignment, own.Alignment)
	return g, nil
}

// PodGroupTruth returns the key of the RayCluster that owns the PodGroup, if one
// does; a gang that the PodGroup names is then read from there.
func PodGroupTruth(group *schedv1alpha1.PodGroup) (Key, bool) {
	for i := range group.OwnerReferences {
		if ref := &group.OwnerReferences[i]; isRayCluster(ref) {
			return RayClusterKey(group.Namespace, ref.Name), true
		}
	}
	return Key{}, false
}

func podGroupGang(key Key, group *schedv1alpha1.PodGroup) Gang {
	g := Gang{
		Key:      key,
		UID:      group.UID,
		Min:      int(group.Spec.MinMember),
		MinField: "spec.minMember",
		Topology: topologyOf(group.Annotations),
		Owner: corev1.ObjectReference{
			APIVersion: schedv1alpha1.SchemeGroupVersion.String(),
			Kind:       "PodGroup",
			Namespace:  group.Namespace,
			Name:       group.Name,
			UID:        group.UID,
		},
		Created: group.CreationTimestamp.Time,
	}
	switch {
	case group.DeletionTimestamp != nil:
		g.Problem = fmt.Sprintf("%s is being deleted", key)
	case g.Min < 1:
		g.Problem = fmt.Sprintf("spec.minMember of %s is %d, but must be at least 1", key, g.Min)
	}
	return g
}

// rolesByQuorum makes a role of every shape among the live members. Which of
// them are the quorum is nowhere said, so it is settled here, the same way every
// time: those already placed, then those that could be placed now, then by
// rank, age and name.
func rolesByQuorum(g Gang, members []Member) []Role {
	var live []Member
	for _, m := range members {
		if g.Has(m) && Live(m.Pod) {
			live = append(live, m)
		}
	}
	slices.SortFunc(live, byQuorumOrder)

	var roles []Role
	for i, m := range live {
		at, found := slices.BinarySearchFunc(roles, m.Role, func(r Role, name string) int {
			return cmp.Compare(r.Name, name)
		})
		if !found {
			roles = slices.Insert(roles, at, Role{Name: m.Role})
		}
		roles[at].Want++
		if i < g.Min {
			roles[at].Min++
		}
	}
	return roles
}

func byQuorumOrder(a, b Member) int {
	return cmp.Or(
		-compareBool(Placed(a.Pod), Placed(b.Pod)),
		-compareBool(Ready(a.Pod), Ready(b.Pod)),
		compareRank(a.Rank, b.Rank),
		a.Pod.CreationTimestamp.Compare(b.Pod.CreationTimestamp.Time),
		cmp.Compare(a.Pod.Name, b.Pod.Name),
	)
}

// compareRank puts pods without a rank behind those with one.
func compareRank(a, b Rank) int {
	return cmp.Or(-compareBool(a.Known, b.Known), cmp.Compare(a.Index, b.Index))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
