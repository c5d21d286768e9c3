// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
)

// podGroupCycleSource is the Source (reader of gang declarations) that recognises the
// pods that name a PodGroup of scheduling.k8s.io, and returns no gang for them. The
// scheduler's own PodGroup cycle schedules them, even if another source would recognise
// them.
type podGroupCycleSource struct{}

// NewPodGroupCycleSource returns the source that must come before all other sources if the
// scheduler's feature gate GenericWorkload is on.
func NewPodGroupCycleSource() Source { return podGroupCycleSource{} }

func (podGroupCycleSource) Name() string { return "native" }

// Key returns true with a zero key for pods that name a PodGroup: then no later Source is
// asked, and none puts them in a gang.
func (podGroupCycleSource) Key(pod *corev1.Pod) (Key, bool) { return Key{}, InPodGroup(pod) }

func (podGroupCycleSource) Role(*corev1.Pod) string { return "" }

func (podGroupCycleSource) Rank(*corev1.Pod) Rank { return Rank{} }

func (podGroupCycleSource) Gang(key Key, _ []Member) (Gang, error) {
	return Gang{}, &LookupError{Key: key, Reason: ErrNoGang}
}

// InPodGroup reports that the pod names a PodGroup of scheduling.k8s.io.
func InPodGroup(pod *corev1.Pod) bool {
	return pod.Spec.SchedulingGroup != nil && pod.Spec.SchedulingGroup.PodGroupName != nil
}

// PodGroupMember returns the pod as a member of the PodGroup of scheduling.k8s.io
// that it names.
func PodGroupMember(pod *corev1.Pod) Member {
	return Member{
		Key:       PodGroupKeyOf(pod),
		Pod:       pod,
		Role:      groupRole(pod),
		Rank:      groupRank(pod),
		Replica:   groupReplica(pod),
		Maker:     controllerUID(pod),
		Signature: SignatureOf(pod),
	}
}

// PodGroupGang returns the gang of a PodGroup that the scheduler's own PodGroup cycle is
// about to place. The API server has validated the PodGroup, so the only possible error
// (Gang.Problem) is that the annotations of members name different topology levels.
func PodGroupGang(group *schedulingv1beta1.PodGroup, members []Member) Gang {
	g := declaredBy(group)
	if constraints := group.Spec.SchedulingConstraints; constraints != nil && len(constraints.Topology) > 0 {
		g.Topology.RequiredLabel = constraints.Topology[0].Key // the API allows only one
	}
	mode := group.Spec.DisruptionMode
	g.Single = mode == nil || mode.All == nil
	g.Roles = rolesByQuorum(g, members)
	return mergeTopology(g, members)
}

// PodGroupKeyOf returns the key of the PodGroup of scheduling.k8s.io that the pod names. The
// pod must name one.
func PodGroupKeyOf(pod *corev1.Pod) Key {
	return PodGroupKey(pod.Namespace, *pod.Spec.SchedulingGroup.PodGroupName)
}
