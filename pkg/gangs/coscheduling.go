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

// CoschedulingSource is the Key.Source (the way of declaring, in a gang's key) of gangs that
// a scheduler-plugins PodGroup declares.
const CoschedulingSource = "podgroup"

// CoschedulingLabel is the pod label that names the pod's scheduler-plugins PodGroup.
const CoschedulingLabel = schedv1alpha1.PodGroupLabel

// CoschedulingGroups looks up scheduler-plugins PodGroups. Only their metadata and spec
// are read.
type CoschedulingGroups interface {
	CoschedulingGroup(namespace, name string) (*schedv1alpha1.PodGroup, error)
}

// coschedulingSource is the Source (reader of gang declarations) for the
// scheduler-plugins PodGroup that a pod label names. Kubeflow, KubeRay in
// scheduler-plugins mode and hand-written manifests set that label.
//
// KubeRay creates its PodGroup once and never updates it, so minMember is wrong after a
// resize, with a suspended worker group or with autoscaling. The RayCluster is
// authoritative: the RayCluster source takes a head or worker whose label names its own
// RayCluster. If a RayCluster owns the PodGroup, the gang has the name of the PodGroup, and
// the roles (members with one task) and the minimum of the RayCluster. The PodGroup of a
// TrainJob is similar: its minMember also counts pods that exist only before or after the
// training, so the TrainJob's JobSet is authoritative.
//
// minResources and scheduleTimeoutSeconds are not read. minResources is an estimate, and the
// pods have the exact values. scheduleTimeoutSeconds is not needed, because no gang holds
// resources while it waits.
type coschedulingSource struct {
	groups   CoschedulingGroups
	clusters RayClusterObjects
	jobSets  JobSetObjects
}

// NewCoschedulingSource returns the source of gangs declared by scheduler-plugins
// PodGroups.
func NewCoschedulingSource(groups CoschedulingGroups, clusters RayClusterObjects, jobSets JobSetObjects) Source {
	return coschedulingSource{groups: groups, clusters: clusters, jobSets: jobSets}
}

// CoschedulingKey returns the key of the gang that this PodGroup declares.
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

// owned returns the gang that the owner of the PodGroup describes, with the key of the
// PodGroup. truth is the key of the gang that the owner would have without the PodGroup.
// The topology annotations of the PodGroup apply where the owner has none. The gang's time
// limit is the shorter of the limits of owner and PodGroup.
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
	g.RunTime = g.RunTime.and(runTimeOf(&group.ObjectMeta, key.String(), Limit{}))
	return g, nil
}

func (s coschedulingSource) ofTruth(key, truth Key, members []Member) (Gang, error) {
	if truth.Source == JobSetSource {
		return gangOfJobSet(key, truth, s.jobSets, members)
	}
	return gangOfRayCluster(key, truth, s.clusters)
}

// CoschedulingOwner returns the key of the RayCluster that owns the PodGroup, or of the
// JobSet of the TrainJob that owns it. The gang is then read from that object.
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
		RunTime:  runTimeOf(&group.ObjectMeta, key.String(), Limit{}),
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
