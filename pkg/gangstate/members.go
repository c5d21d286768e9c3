// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"maps"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// counts reports whether the member counts for its gang's quorum, the members that must
// start together: it is placed, or it can have a scheduling cycle. A member without a pod
// does not count.
func counts(m gangs.Member) bool {
	return m.Pod != nil && gangs.Live(m.Pod) && (gangs.Placed(m.Pod) || m.Ready())
}

// isDone reports whether the pod has succeeded. Such a pod counts for its gang's quorum
// and occupies no node.
func isDone(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded
}

// runs reports whether the member belongs to the declared gang and is on a node.
func runs(declared gangs.Gang, m gangs.Member) bool {
	return declared.Has(m) && gangs.Live(m.Pod) && gangs.Placed(m.Pod) && !isDone(m.Pod)
}

// isPlaced reports whether the member is placed, or was placed until it succeeded.
func isPlaced(m gangs.Member) bool { return gangs.Live(m.Pod) && gangs.Placed(m.Pod) }

// SameForGang reports whether two states of a pod are equal in the fields relevant to its
// gang.
func SameForGang(a, b *v1.Pod) bool {
	return a.UID == b.UID && gangs.Placed(a) == gangs.Placed(b) &&
		gangs.Ready(a) == gangs.Ready(b) && gangs.Live(a) == gangs.Live(b) && isDone(a) == isDone(b) &&
		maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations) &&
		apiequality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences) &&
		apiequality.Semantic.DeepEqual(a.Status.ResourceClaimStatuses, b.Status.ResourceClaimStatuses) &&
		(a.Generation == b.Generation && a.Generation > 0 || apiequality.Semantic.DeepEqual(a.Spec, b.Spec))
}
