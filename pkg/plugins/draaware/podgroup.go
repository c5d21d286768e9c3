// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"errors"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// PodGroupPostFilter deallocates claims that a refused group has from a former plan. If
// there are none, it calls the in-tree plugin. That plugin returns an error if the group
// was refused before any pod's cycle began, because its cycle state is missing then.
// PodGroupPostFilter turns the error into Unschedulable, or no later plugin could preempt.
func (d *DRAAware) PodGroupPostFilter(ctx context.Context, state fwk.PodGroupCycleState, group fwk.PodGroupInfo, schedule fwk.PodGroupSchedulingFunc) (*fwk.PodGroupPostFilterResult, *fwk.Status) {
	if d.claims != nil && d.giveBack(ctx, group) {
		return nil, fwk.NewStatus(fwk.Unschedulable, "devices from a former plan are given back")
	}
	result, status := d.DynamicResources.PodGroupPostFilter(ctx, state, group, schedule)
	if status.IsError() && errors.Is(status.AsError(), fwk.ErrNotFound) {
		return nil, fwk.NewStatus(fwk.Unschedulable)
	}
	return result, status
}

// waiting has the pods of a refused group, and the UIDs of the group's pods and PodGroups:
// claims may be reserved for either.
type waiting struct {
	pods map[string]*v1.Pod
	uids sets.Set[types.UID]
}

// giveBack deallocates the claims of a refused group that only the group uses. A scheduler
// that died or a binding that failed leaves such claims. They would tie the group to the
// nodes of a former plan, and keep the devices from other pods. The in-tree plugin
// deallocates at most one claim, and none of a group with a topology key or in a hierarchy.
// giveBack deallocates nothing if a member has a node.
func (d *DRAAware) giveBack(ctx context.Context, group fwk.PodGroupInfo) (given bool) {
	w := waiting{pods: map[string]*v1.Pod{}, uids: sets.New[types.UID]()}
	if !d.gather(group, &w) {
		return false
	}
	for _, pod := range w.pods {
		for name := range resourceclaim.PodClaims(pod) {
			claim, err := d.claims.Get(pod.Namespace, name)
			if err != nil || !w.idle(claim) {
				continue
			}
			if err := d.free(ctx, claim); err != nil {
				// The claim changed meanwhile, or the write failed: the next refusal tries
				// again.
				d.logger.V(2).Info("Devices of a refused group are not given back", "pod", klog.KObj(pod), "resourceclaim", klog.KObj(claim), "err", err)
				continue
			}
			given = true
			d.logger.V(2).Info("Devices of a refused group given back", "pod", klog.KObj(pod), "resourceclaim", klog.KObj(claim))
		}
	}
	if given {
		// The plugin that refused the group may not register for claim events.
		d.real.Activate(d.logger, w.pods)
	}
	return given
}

// gather adds the pods of a group and its subgroups. It returns false if a member has a
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
	// The cycle's snapshot may include members that the cycle itself placed.
	state, err := d.real.PodGroupManager().PodGroupStates().Get(group.GetNamespace(), group.GetName())
	if err != nil || state.ScheduledPodsCount() > 0 || group.GetPodGroup() == nil {
		return false
	}
	w.uids.Insert(group.GetPodGroup().UID)
	for _, pod := range group.GetUnscheduledPods() {
		w.uids.Insert(pod.UID)
		w.pods[pod.Namespace+"/"+pod.Name] = pod
	}
	return true
}

// idle reports whether the claim has devices that only the refused pods or their
// PodGroups use. The in-tree plugin deletes its own claims for extended resources, so
// they are not idle.
func (w *waiting) idle(claim *resourceapi.ResourceClaim) bool {
	if claim.Status.Allocation == nil || claim.DeletionTimestamp != nil ||
		claim.Annotations[resourceapi.ExtendedResourceClaimAnnotation] == "true" {
		return false
	}
	for _, user := range claim.Status.ReservedFor {
		if !w.uids.Has(user.UID) {
			return false
		}
	}
	return true
}

// free clears the claim's status in the API server and in the claim tracker. It returns an
// error if the claim changed meanwhile.
func (d *DRAAware) free(ctx context.Context, claim *resourceapi.ResourceClaim) error {
	claim = claim.DeepCopy()
	claim.Status = resourceapi.ResourceClaimStatus{}
	freed, err := d.real.ClientSet().ResourceV1().ResourceClaims(claim.Namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	if err := d.tracker.AssumeClaimAfterAPICall(freed); err != nil {
		d.logger.V(4).Info("The informer was faster", "resourceclaim", klog.KObj(claim), "err", err)
	}
	return nil
}
