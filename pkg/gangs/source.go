// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Source is one way of declaring a gang.
//
// Key, Role and Rank read the pod alone and are cheap; they give the same
// answer for as long as the pod's metadata and spec stay. Gang reads the
// declaring object through a lookup, and may read the members, because some
// gangs are declared on their pods and some have no roles but the shapes of
// their pods. The members come in any order, and the answer does not depend on it.
type Source interface {
	// Name is the Key.Source of this source's gangs, a word users know.
	Name() string
	// Key returns the gang that the pod belongs to, if this source knows one.
	Key(pod *corev1.Pod) (Key, bool)
	// Role returns the name of the pod's role in its gang.
	Role(pod *corev1.Pod) string
	// Rank returns the pod's place in its role, if the pod says one.
	Rank(pod *corev1.Pod) Rank
	// Gang returns the gang with that key. The error is a *LookupError when
	// there is no object to read, a *MalformedError when it cannot be read.
	Gang(key Key, members []Member) (Gang, error)
}

// Sources are asked in their order; the first that knows the pod has it. So
// explicit declarations stand before inferred ones.
type Sources []Source

// NewSources returns all sources in the order in which they are asked: the
// scheduler-plugins PodGroup that a pod names by label, then the RayCluster
// that owns the pod.
func NewSources(groups PodGroups, clusters RayClusters) Sources {
	return Sources{
		NewPodGroupSource(groups, clusters),
		NewRayClusterSource(clusters),
	}
}

// Key returns the gang that the pod belongs to, if any.
func (s Sources) Key(pod *corev1.Pod) (Key, bool) {
	for _, source := range s {
		if key, ok := source.Key(pod); ok {
			return key, true
		}
	}
	return Key{}, false
}

// Member returns the pod as a member of its gang, if it is in one.
func (s Sources) Member(pod *corev1.Pod) (Member, bool) {
	for _, source := range s {
		key, ok := source.Key(pod)
		if !ok {
			continue
		}
		m := Member{Key: key, Pod: pod, Role: source.Role(pod), Rank: source.Rank(pod)}
		if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
			m.Controller = ref.UID
		}
		return m, true
	}
	return Member{}, false
}

// Gang returns the gang with that key, its topology wishes merged with those
// of its members. A declaration that can be read but is wrong is a gang with a
// Problem; an error says that there is none to read.
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
