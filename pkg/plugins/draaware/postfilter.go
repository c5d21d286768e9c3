// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"errors"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// PostFilter deallocates the claims of a refused gang member that only the member uses. A
// binding that failed leaves such claims, and they tie the member to a node that may have
// no room any more. The in-tree plugin deallocates them only if the cycle has seen a node
// that the claim excludes, and a planned member sees one node. For other pods PostFilter
// calls the in-tree plugin. That plugin returns an error if the pod was refused before
// its own PreFilter, which PostFilter turns into Unschedulable.
func (d *DRAAware) PostFilter(ctx context.Context, state fwk.CycleState, pod *v1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	if cluster.PlannedOf(state).Gang != "" && d.claims != nil && d.giveBackOf(ctx, pod) {
		return nil, fwk.NewStatus(fwk.Unschedulable, "devices from a former plan are given back")
	}
	result, status := d.DynamicResources.PostFilter(ctx, state, pod, statuses)
	if status.IsError() && errors.Is(status.AsError(), fwk.ErrNotFound) {
		return nil, fwk.NewStatus(fwk.Unschedulable)
	}
	return result, status
}

// giveBackOf deallocates the claims of a pod without a node that only the pod uses. It
// reports whether it deallocated any.
func (d *DRAAware) giveBackOf(ctx context.Context, pod *v1.Pod) (given bool) {
	w := waiting{uids: sets.New[types.UID](pod.UID)}
	for name := range resourceclaim.PodClaims(pod) {
		claim, err := d.claims.Get(pod.Namespace, name)
		if err != nil || !w.idle(claim) {
			continue
		}
		if err := d.free(ctx, claim); err != nil {
			// The claim changed meanwhile, or the write failed: the next refusal tries again.
			d.logger.V(2).Info("Devices of a refused member are not given back", "pod", klog.KObj(pod), "resourceclaim", klog.KObj(claim), "err", err)
			continue
		}
		given = true
		d.logger.V(2).Info("Devices of a refused member given back", "pod", klog.KObj(pod), "resourceclaim", klog.KObj(claim))
	}
	return given
}
