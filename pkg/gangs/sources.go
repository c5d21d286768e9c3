// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Objects looks up all objects that the sources read in addition to pods.
type Objects interface {
	PodGroups
	CoschedulingGroups
	VolcanoPodGroups
	LeaderWorkerSets
	RayClusterObjects
	JobSets
	Jobs
}

// Sources are the readers of gang declarations, tried in order. The first Source that
// recognises a pod determines the pod's gang, so no pod is in two gangs. Explicit
// declarations come before inferred ones.
type Sources []Source

// NewSources returns all sources in the order in which they are tried. First come the
// groups that a pod names itself, those of Kubernetes before those of other schedulers.
// Next come the labels of a pod's controller, from the controller that describes its pods
// best to the one that describes them least. Last come Dovetail's own labels, for pods that
// no other source recognises.
func NewSources(objects Objects) Sources {
	return Sources{
		NewPodGroupSource(objects),
		NewCoschedulingSource(objects, objects, objects),
		NewVolcanoSource(objects, objects),
		NewYuniKornSource(),
		NewKueueSource(),
		NewLeaderWorkerSetSource(objects),
		NewRayClusterSource(objects),
		NewJobSetSource(objects),
		NewJobSource(objects),
		NewLabelSource(),
	}
}

// find returns the first source that recognises the pod, and the key of the gang, or nil if
// the pod is in no gang. This is so, too, for a pod with the labels of a gang that exists
// only before or after the gang's members.
func (s Sources) find(pod *corev1.Pod) (Source, Key) {
	if saysNothing(pod) || notAMember(pod) {
		return nil, Key{}
	}
	for _, source := range s {
		if key, ok := source.Key(pod); ok {
			if key.IsZero() {
				break
			}
			return source, key
		}
	}
	return nil, Key{}
}

// saysNothing reports whether the pod has no field by which a source could recognise a
// member of a gang. saysNothing must be fast: it is called at every comparison of two pods
// in the scheduling queue.
func saysNothing(pod *corev1.Pod) bool {
	return len(pod.Labels) == 0 && len(pod.Annotations) == 0 && len(pod.OwnerReferences) == 0 && pod.Spec.SchedulingGroup == nil
}

// Key returns the gang that the pod belongs to, if any.
func (s Sources) Key(pod *corev1.Pod) (Key, bool) {
	source, key := s.find(pod)
	return key, source != nil
}

// Member returns the pod as a member of its gang, if it is in one.
func (s Sources) Member(pod *corev1.Pod) (Member, bool) {
	source, key := s.find(pod)
	if source == nil {
		return Member{}, false
	}
	m := Member{
		Key: key, Pod: pod, Role: source.Role(pod), Rank: source.Rank(pod),
		Maker: controllerUID(pod), Attempt: pod.Labels[jobSetAttempt],
	}
	if !Placed(pod) {
		m.Signature = SignatureOf(pod)
	}
	if r, ok := source.(replicaSource); ok {
		m.Replica = r.Replica(pod)
	}
	if made, ok := source.(makerSource); ok {
		m.Maker = made.Maker(pod)
	}
	return m, true
}

// Gang returns the gang with that key. It merges the gang's topology constraints with those of
// its members. For a declaration that is invalid, it returns a gang with a
// Problem, a sentence about the error. It returns an error if there is no declaration to
// read.
func (s Sources) Gang(key Key, members []Member) (Gang, error) {
	for _, source := range s {
		if source.Name() != key.Source {
			continue
		}
		g, err := source.Gang(key, members)
		if malformed := (*MalformedError)(nil); errors.As(err, &malformed) {
			return malformedGang(key, malformed), nil
		}
		if err != nil {
			return Gang{}, err
		}
		return mergeTopology(g, members), nil
	}
	return Gang{}, fmt.Errorf("gang %s: no source has that name", key)
}

func malformedGang(key Key, err *MalformedError) Gang {
	return Gang{
		Key:     key,
		UID:     err.Owner.UID,
		Owner:   err.Owner,
		Created: err.Created,
		Problem: err.Error(),
	}
}
