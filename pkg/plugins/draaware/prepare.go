// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// prepare runs the in-tree plugin's PreFilter with what the pod sees in this setting.
func (d *DRAAware) prepare(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo, set setting) (*fwk.PreFilterResult, *fwk.Status) {
	c, err := d.begin(pod, set)
	if err != nil {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, err.Error())
	}
	if c != nil {
		c.prepare()
		state.Write(cycleKey, c)
	} else {
		state.Delete(cycleKey)
	}
	var result *fwk.PreFilterResult
	var status *fwk.Status
	in := callContext{cycle: c, pod: pod, gang: d.gangOf(state, pod), subrequests: set.planned.Subrequests, setting: set}
	did := d.innerCalls.run(in, func() { result, status = d.DynamicResources.PreFilter(ctx, state, pod, nodes) })
	if len(did.shared) > 0 {
		state.Write(sharerKey, &sharer{claims: did.shared})
	}
	if len(did.narrowed) > 0 {
		state.Write(narrowedKey, &narrowed{claims: did.narrowed})
	}
	return result, status
}
