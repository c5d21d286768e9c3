// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/dovetail-dev/dovetail/pkg/evict"
)

func podPreemptor(pod *v1.Pod) preemptor {
	return preemptor{
		uid: pod.UID, object: pod, what: "pod " + pod.Namespace + "/" + pod.Name, priority: corev1helpers.PodPriority(pod), pods: []*v1.Pod{pod},
	}
}

// messageFor returns the sentence for the users of a victim.
func messageFor(p preemptor, unit *evict.Unit, pod *v1.Pod, node string) string {
	needs := "which needs its room"
	switch {
	case node != "" && pod.Spec.NodeName != node && !unit.Gang.IsZero():
		needs = "which needs room of " + unit.Gang.String() + ": a gang is evicted whole"
	case node != "":
		needs = "which needs its room on node " + node
	}
	return fmt.Sprintf("evicted for %s of priority %d, %s; loses %s", p.what, p.priority, needs, lostTime(unit.Lost))
}

// lostTime says how much work is lost.
func lostTime(lost time.Duration) string {
	switch minutes := int(lost.Round(time.Minute) / time.Minute); minutes {
	case 0:
		return "less than a minute"
	case 1:
		return "about 1 minute"
	default:
		return fmt.Sprintf("about %d minutes", minutes)
	}
}
