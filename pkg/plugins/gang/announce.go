// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// unannounced keeps the scheduler from writing on a planned pod which node it is
// about to get (status.nominatedNodeName), where the binding follows at once: for
// a gang that is one write for each member but the last, beside its creation and
// its binding, and one more event for everybody who watches pods. The scheduler
// writes it before a pod waits in Permit or is prepared for its binding, and only
// if the pod of its cycle does not say so already. That pod is the cycle's own
// copy; nothing but the cycle's goroutine has seen it when Permit gets it, apart
// from the scheduler's cache, which looks at no status (ADR 0013).
//
// Where preparing takes long, cluster autoscalers must know: volumes may have to
// be made first, devices to be attached.
func unannounced(state fwk.CycleState, pod *v1.Pod, node string) {
	if cluster.PlannedOf(state).Node != node || cluster.BindsSlowly(state) || hasVolumeClaims(pod) {
		return
	}
	pod.Status.NominatedNodeName = node
}

func hasVolumeClaims(pod *v1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if source := &pod.Spec.Volumes[i].VolumeSource; source.PersistentVolumeClaim != nil || source.Ephemeral != nil {
			return true
		}
	}
	return false
}
