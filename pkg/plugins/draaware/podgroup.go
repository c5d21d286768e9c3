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

// PodGroupPostFilter gives back the devices that a refused group has from a former
// plan. With nothing to give back it is the in-tree plugin's, but for a group that was
// refused before the cycle of any of its pods began: that plugin takes the state which
// it has not written for a fault, and no later plugin could make room.
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

// waiting are the pods of a refused group, and whoever claims may be reserved for
// that belong to it.
type waiting struct {
	pods map[string]*v1.Pod
	uids sets.Set[types.UID]
}

// giveBack takes their devices from the claims of a refused group that nobody else
// uses. A scheduler that died, or a binding that failed, leaves such claims; they
// would tie the group to the place of a former plan, and keep the devices from
// others. The in-tree plugin gives back one at most, and none of a group with a topology
// key or in a hierarchy. A group of which a member has a node keeps all.
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
				// It changed meanwhile, or the group is refused again and this tried again.
				d.logger.V(2).Info("Devices of a refused group are not given back", "pod", klog.KObj(pod), "resourceclaim", klog.KObj(claim), "err", err)
				continue
			}
			given = true
			d.logger.V(2).Info("Devices of a refused group given back", "pod", klog.KObj(pod), "resourceclaim", klog.KObj(claim))
		}
	}
	if given {
		// What refused the group need not know that claims matter to it.
		d.real.Activate(d.logger, w.pods)
	}
	return given
}

// gather adds the pods of a group and of those below it. It says false if one of
// them has a node.
func (d *DRAAware) gather(group fwk.PodGroupInfo, w *waiting) bool {
	if group.GetCompositePodGroup() != nil {
		for _, child := range group.GetChildren() {
			if !d.gather(child, w) {
				return false
			}
		}
		return true
	}
	// Not the cycle's snapshot, which may show members that the cycle itself placed.
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

// idle reports whether the claim has devices that nobody uses but the group, which does
// not run. The in-tree plugin deletes its own claims for extended resources.
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

// free writes that the claim has no devices, and shows it to the next cycle so. A claim
// that changed meanwhile stays as it is.
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
