// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Terminating returns the end of a sentence about members of the gang that are being deleted
// and still use their nodes, or "" if there are none. It names one of these members, the
// first in the order of names, and counts the others.
func Terminating(g Gang, members []Member) string {
	var first *corev1.Pod
	more := -1
	for _, m := range members {
		if !g.Has(m) || !leavesNode(m.Pod) {
			continue
		}
		if more++; first == nil || m.Pod.Name < first.Name {
			first = m.Pod
		}
	}
	switch {
	case first == nil:
		return ""
	case more == 0:
		return fmt.Sprintf("; pod %s is terminating and still uses node %s", first.Name, first.Spec.NodeName)
	}
	return fmt.Sprintf("; pod %s is terminating and still uses node %s, and %d more are", first.Name, first.Spec.NodeName, more)
}

// leavesNode reports whether the pod is being deleted and uses its node until it ends.
func leavesNode(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && Placed(pod) &&
		pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}
