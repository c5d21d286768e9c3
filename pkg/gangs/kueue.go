// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import corev1 "k8s.io/api/core/v1"

// KueueSource is the Key.Source (the way of declaring, in a gang's key) of gangs that are
// Kueue's groups of plain pods.
const KueueSource = "kueue"

// Labels and annotations by which Kueue and its users declare a group of plain pods: the
// group's name, the pod's index, the number of pods, and whether the first pods may start
// before all exist. The last constant is the value for yes.
const (
	kueueGroupLabel     = "kueue.x-k8s.io/pod-group-name"
	kueueIndexLabel     = "kueue.x-k8s.io/pod-group-pod-index"
	kueueTotalCount     = "kueue.x-k8s.io/pod-group-total-count"
	kueueFastAdmission  = "kueue.x-k8s.io/pod-group-fast-admission"
	annotationValueTrue = "true"
)

// kueueSource is the Source (reader of gang declarations) that reads a Kueue pod group from
// the labels and annotations of its pods. The pods carry a scheduling gate until Kueue
// admits the group. The scheduler cannot place gated pods, so the gang waits, and the
// message about it names a gated pod.
//
// A group with fast admission is not a gang, because Kueue itself does not expect all its
// pods to exist at first. Kueue uses it for the pods of a StatefulSet, which are created
// one after another, and of a LeaderWorkerSet, which has a source of its own.
type kueueSource struct{}

// NewKueueSource returns the source of gangs that are Kueue pod groups.
func NewKueueSource() Source { return kueueSource{} }

// KueueKey returns the key of the gang that is the pod group of that name.
func KueueKey(namespace, name string) Key {
	return Key{Source: KueueSource, Namespace: namespace, Name: name}
}

func (kueueSource) Name() string { return KueueSource }

func (kueueSource) Key(pod *corev1.Pod) (Key, bool) {
	group := pod.Labels[kueueGroupLabel]
	if group == "" || pod.Annotations[kueueFastAdmission] == annotationValueTrue {
		return Key{}, false
	}
	return KueueKey(pod.Namespace, group), true
}

func (kueueSource) Role(pod *corev1.Pod) string { return shapeRole(pod) }

func (kueueSource) Rank(pod *corev1.Pod) Rank {
	if rank := rankOf(pod, "", kueueIndexLabel); rank.Known {
		return rank
	}
	return groupRank(pod)
}

func (kueueSource) Gang(key Key, members []Member) (Gang, error) {
	return countedGang(key, members, kueueTotalCount), nil
}
