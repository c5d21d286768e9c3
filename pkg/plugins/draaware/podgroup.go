// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"errors"

	fwk "k8s.io/kube-scheduler/framework"
)

// PodGroupPostFilter is the in-tree plugin's, but for a group that was refused
// before the cycle of any of its pods began: that plugin takes the state which it
// has not written for a fault, and nobody after it could make room.
func (d *DRAAware) PodGroupPostFilter(ctx context.Context, state fwk.PodGroupCycleState, group fwk.PodGroupInfo, schedule fwk.PodGroupSchedulingFunc) (*fwk.PodGroupPostFilterResult, *fwk.Status) {
	result, status := d.DynamicResources.PodGroupPostFilter(ctx, state, group, schedule)
	if status.IsError() && errors.Is(status.AsError(), fwk.ErrNotFound) {
		return nil, fwk.NewStatus(fwk.Unschedulable)
	}
	return result, status
}
