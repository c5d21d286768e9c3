// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/claimwrites"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// PodGroupPostFilter deallocates claims that a refused PodGroup still has from a former plan.
// If there are none, it calls the in-tree plugin, and records its write if the answer was lost.
// The in-tree plugin returns an error for a group that was refused before any pod's cycle
// began; refusedBefore turns this error into Unschedulable.
func (d *DRAAware) PodGroupPostFilter(ctx context.Context, state fwk.PodGroupCycleState, group fwk.PodGroupInfo, schedule fwk.PodGroupSchedulingFunc) (*fwk.PodGroupPostFilterResult, *fwk.Status) {
	if d.claims != nil && d.giveBackGroup(ctx, group) {
		return nil, fwk.NewStatus(fwk.Unschedulable, givenBack)
	}
	ctx, attempt := claimwrites.Begin(ctx, 0)
	result, status := d.DynamicResources.PodGroupPostFilter(ctx, state, group, schedule)
	if lost := attempt.Lost(); len(lost) > 0 && len(group.GetUnscheduledPods()) > 0 {
		// Any pod of the group will do: a pod that returns to the queue brings the others.
		d.lostWrites.add(group.GetUnscheduledPods()[0], lost[0], "")
	}
	return result, refusedBefore(status)
}

// giveBackGroup gives back the claims of a refused group that only the group uses. A
// scheduler that died or a binding that failed leaves such claims. They would tie the group
// to the nodes of a former plan, and keep the devices from other pods. The in-tree plugin
// deallocates at most one claim, and none of a group with a topology key or in a hierarchy.
// giveBackGroup gives nothing back if a member has a node.
func (d *DRAAware) giveBackGroup(ctx context.Context, group fwk.PodGroupInfo) bool {
	w := waiting{pods: map[string]*v1.Pod{}, uids: sets.New[types.UID]()}
	if !d.gather(group, &w) || !d.giveBack(ctx, &w) {
		return false
	}
	// Activate the pods: the plugin that refused the group may not register for claim
	// events.
	d.real.Activate(d.logger, w.pods)
	return true
}

// gather adds the pods of a group and its subgroups to w. It returns false if a member has a
// node.
func (d *DRAAware) gather(group fwk.PodGroupInfo, w *waiting) bool {
	if group.GetCompositePodGroup() != nil {
		for _, child := range group.GetChildren() {
			if !d.gather(child, w) {
				return false
			}
		}
		return true
	}
	// Read the scheduler's state and not the cycle's snapshot, which may include members
	// that the cycle itself placed.
	state, err := d.real.PodGroupManager().PodGroupStates().Get(group.GetNamespace(), group.GetName())
	if err != nil || state.ScheduledPodsCount() > 0 || group.GetPodGroup() == nil {
		return false
	}
	w.uids.Insert(group.GetPodGroup().UID)
	for _, pod := range group.GetUnscheduledPods() {
		w.pods[cluster.NameOf(pod)] = pod
		w.uids.Insert(pod.UID)
	}
	return true
}
