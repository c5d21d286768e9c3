// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Source is one way of declaring a gang.
//
// Key, Role and Rank read the pod alone and are cheap; they give the same
// answer for as long as the pod's metadata and spec stay. The two sources whose
// objects may turn out to declare no gang look at the object in Key as well, and
// take the pod while the object is not known. Gang reads the
// declaring object through a lookup, and may read the members, because some
// gangs are declared on their pods and some have no roles but the shapes of
// their pods. The members come in any order, and the answer does not depend on it.
type Source interface {
	// Name is the Key.Source of this source's gangs, a word users know.
	Name() string
	// Key returns the gang that the pod belongs to, if it has one by this source. True
	// with a zero key says that the pod is in no gang, whatever other sources say.
	Key(pod *corev1.Pod) (Key, bool)
	// Role returns the name of the pod's role in its gang.
	Role(pod *corev1.Pod) string
	// Rank returns the pod's place in its role, if the pod says one.
	Rank(pod *corev1.Pod) Rank
	// Gang returns the gang with that key. The error is a *LookupError when
	// there is no object to read, a *MalformedError when it cannot be read.
	Gang(key Key, members []Member) (Gang, error)
}

// replicaSource is a Source whose pods say which replica they are one host of.
type replicaSource interface {
	Replica(pod *corev1.Pod) string
}

// makerSource is a Source whose gangs' objects are not the controllers of the
// pods, but made those.
type makerSource interface {
	Maker(pod *corev1.Pod) types.UID
}

// controllerUID returns the UID of the pod's controller, "" for none.
func controllerUID(pod *corev1.Pod) types.UID {
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
		return ref.UID
	}
	return ""
}
