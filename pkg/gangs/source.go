// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Source is one way of declaring a gang (pods that start together).
//
// Key, Role and Rank read only the pod and are cheap. Their results stay the same until the
// pod's metadata or spec changes. The sources of Jobs and of scheduling.k8s.io PodGroups
// differ, because their objects may declare no gang: their Key also reads the object, and
// takes the pod for a member while the object is unknown.
//
// Gang reads the declaring object through a lookup. It may read the members too, because
// some gangs are declared on their pods, and some have only roles that are derived from
// their pods. The result does not depend on the order of the members.
type Source interface {
	// Name returns the Key.Source of this source's gangs, a word that users know.
	Name() string
	// Key returns the gang that the pod belongs to, if this source recognises one. True
	// with a zero key means that the pod is in no gang, whatever other sources return.
	Key(pod *corev1.Pod) (Key, bool)
	// Role returns the name of the pod's role (members with one task) in its gang.
	Role(pod *corev1.Pod) string
	// Rank returns the pod's position in its role, if the pod carries one.
	Rank(pod *corev1.Pod) Rank
	// Gang returns the gang with that key. The error is a *LookupError if no object that
	// declares the gang is known, and a *MalformedError if the object does not match the
	// schema of its kind.
	Gang(key Key, members []Member) (Gang, error)
}

// replicaSource is a Source whose pods name the replica (a set of pods that are useful only
// together) that they belong to.
type replicaSource interface {
	Replica(pod *corev1.Pod) string
}

// makerSource is a Source of gangs whose declaring object may not control the pods itself,
// but have created the pods' controllers. Maker returns the UID of the declaring object if
// the pod carries it, else the UID of the pod's controller.
type makerSource interface {
	Maker(pod *corev1.Pod) types.UID
}

// controllerUID returns the UID of the pod's controller, or "" if it has none.
func controllerUID(pod *corev1.Pod) types.UID {
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
		return ref.UID
	}
	return ""
}
