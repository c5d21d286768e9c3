// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

// Unreserve handles a member that left the PodGroup cycle for binding and is not bound. The
// scheduler also calls it for members that the cycle itself gives up; those are ignored.
func (c *Cycle) Unreserve(state fwk.CycleState, pod *v1.Pod, node string) {
	c.BindFailed(state, gangstate.FailedBinding{Pod: pod, Node: node})
}

// BindFailed records that the binding of a member failed. Its place is held for its group's
// next cycle if the group is below its minimum.
func (c *Cycle) BindFailed(state fwk.CycleState, failed gangstate.FailedBinding) {
	if p := memberPlan(state); p != nil && p.placed {
		c.Host.Apply(c.Tracker.PodGroupBindFailed(&p.request, c.present(p.request.Members), p.assignment, failed, time.Now()))
	}
}

// present returns the members as the informer shows them now, without deleted ones.
func (c *Cycle) present(members []gangs.Member) []gangs.Member {
	pods := c.Handle.SharedInformerFactory().Core().V1().Pods().Lister()
	now := make([]gangs.Member, 0, len(members))
	for _, m := range members {
		if pod, err := pods.Pods(m.Pod.Namespace).Get(m.Pod.Name); err == nil && pod.UID == m.Pod.UID {
			m.Pod = pod
			now = append(now, m)
		}
	}
	return now
}
