// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
)

// CoschedulingSource is the Key.Source of gangs declared by a scheduler-plugins
// CoschedulingGroup.
const CoschedulingSource = "podgroup"

// CoschedulingLabel is how a pod names its scheduler-plugins PodGroup.
const CoschedulingLabel = schedv1alpha1.PodGroupLabel

// CoschedulingGroups looks up scheduler-plugins PodGroups. Only their metadata and spec
// are read.
type CoschedulingGroups interface {
	CoschedulingGroup(namespace, name string) (*schedv1alpha1.PodGroup, error)
}

// coschedulingSource reads the PodGroup that a pod names by label, as Kubeflow,
// KubeRay in scheduler-plugins mode and hand-written manifests use it.
//
// KubeRay creates its PodGroup once and never updates it, so after a resize,
// with a suspended group or with autoscaling its minMember is wrong. The
// RayCluster is the truth: a head or worker whose label names its own
// RayCluster is left to the RayCluster source, and a PodGroup that a RayCluster
// owns lends only its name, the roles and the minimum being the RayCluster's.
// It is the same with the PodGroup of a TrainJob, whose minMember counts pods
// that exist only before or after the others: its JobSet is the truth.
//
// minResources and scheduleTimeoutSeconds are not read: the plan answers
// exactly what minResources guesses, and no gang ever waits holding something.
type coschedulingSource struct {
	groups   CoschedulingGroups
	clusters RayClusters
	jobSets  JobSetObjects
}

// NewCoschedulingSource returns the source of gangs declared by scheduler-plugins
// CoschedulingGroups.
func NewCoschedulingSource(groups CoschedulingGroups, clusters RayClusters, jobSets JobSetObjects) Source {
	return coschedulingSource{groups: groups, clusters: clusters, jobSets: jobSets}
}

// CoschedulingKey is the key of the gang that this PodGroup declares.
func CoschedulingKey(namespace, name string) Key {
	return Key{Source: CoschedulingSource, Namespace: namespace, Name: name}
}

func (coschedulingSource) Name() string { return CoschedulingSource }

func (coschedulingSource) Key(pod *corev1.Pod) (Key, bool) {
	group := pod.Labels[CoschedulingLabel]
	if group == "" {
		return Key{}, false
	}
	if cluster, ok := rayClusterOf(pod); ok && cluster == group {
		return Key{}, false
	}
	return CoschedulingKey(pod.Namespace, group), true
}

func (coschedulingSource) Role(pod *corev1.Pod) string { return groupRole(pod) }

func (coschedulingSource) Rank(pod *corev1.Pod) Rank { return groupRank(pod) }

func (coschedulingSource) Replica(pod *corev1.Pod) string { return groupReplica(pod) }

func (coschedulingSource) Maker(pod *corev1.Pod) types.UID { return groupMaker(pod) }

func (s coschedulingSource) Gang(key Key, members []Member) (Gang, error) {
	group, err := s.groups.CoschedulingGroup(key.Namespace, key.Name)
	if err != nil {
		return Gang{}, err
	}
	if truth, ok := CoschedulingOwner(group); ok {
		return s.owned(truth, group, members)
	}
	g := coschedulingGang(key, group)
	g.Roles = rolesByQuorum(g, members)
	return g, nil
}

// owned takes everything from the object that owns the PodGroup but the key,
// and the PodGroup's topology constraint where that object has none.
func (s coschedulingSource) owned(truth Key, group *schedv1alpha1.PodGroup, members []Member) (Gang, error) {
	key := CoschedulingKey(group.Namespace, group.Name)
	g, err := s.ofTruth(key, truth, members)
	if err != nil {
		return Gang{}, err
	}
	own := topologyOf(group.Annotations)
	g.Topology.Required = cmp.Or(g.Topology.Required, own.Required)
	g.Topology.Preferred = cmp.Or(g.Topology.Preferred, own.Preferred)
	g.Topology.Alignment = cmp.Or(g.Topology.Alignment, own.Alignment)
	return g, nil
}

func (s coschedulingSource) ofTruth(key, truth Key, members []Member) (Gang, error) {
	if truth.Source == JobSetSource {
		return gangOfJobSet(key, truth, s.jobSets, members)
	}
	cluster, err := s.clusters.RayCluster(truth.Namespace, truth.Name)
	if err != nil {
		return Gang{}, err
	}
	g := rayGang(key, cluster)
	g.Controls = true
	return g, nil
}

// CoschedulingOwner returns the key of the RayCluster that owns the PodGroup, or of
// the JobSet of the TrainJob that does; a gang that the PodGroup names is then
// read from there.
func CoschedulingOwner(group *schedv1alpha1.PodGroup) (Key, bool) {
	for i := range group.OwnerReferences {
		ref := &group.OwnerReferences[i]
		if isRayCluster(ref) {
			return RayClusterKey(group.Namespace, ref.Name), true
		}
		if isTrainJob(ref) {
			return JobSetKey(group.Namespace, ref.Name), true
		}
	}
	return Key{}, false
}

func coschedulingGang(key Key, group *schedv1alpha1.PodGroup) Gang {
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
