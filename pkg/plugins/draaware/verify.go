// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// reasonBroken is the event reason for a pod that requires its NICs to be close to its
// GPUs and got other devices.
const reasonBroken = "DeviceAlignmentBroken"

// verifyAllocation checks the devices the pod got. It refuses a device that is in two of the
// pod's claims, and NICs without a GPU of the pod close to them (unpaired) if the pod requires
// alignment. It records the paired and unpaired NICs in c, for PostBind.
func (d *DRAAware) verifyAllocation(c *cycle, pod *v1.Pod, node string, reserved []types.UID) *fwk.Status {
	held, err := d.held(pod, reserved)
	if err != nil {
		return fwk.AsStatus(err)
	}
	if id, twice := devices.FindDuplicate(held); twice {
		return fwk.NewStatus(fwk.Unschedulable, fmt.Sprintf("device %s was allocated to two claims of the pod at once", id))
	}
	real := c.inventory.Alignment(node, held)
	if real.GPUs == 0 || real.NICs == 0 {
		return nil
	}
	c.paired, c.unpaired = real.NICs-real.Unpaired, real.Unpaired
	d.logger.V(4).Info("Devices reserved", "pod", klog.KObj(pod), "node", node, "gpus", real.GPUs, "nics", real.NICs, "unpaired", real.Unpaired)
	if c.mode != gangs.AlignmentRequired || real.Unpaired == 0 {
		return nil
	}
	broken := fmt.Sprintf("device alignment is required, and %d of %d NICs that node %s gave stand apart from the pod's GPUs", real.Unpaired, real.NICs, node)
	d.events.Eventf(pod, nil, v1.EventTypeWarning, reasonBroken, "Scheduling", "%s", broken)
	return fwk.NewStatus(fwk.Unschedulable, broken)
}

// PostBind counts the NICs of a bound pod. Reserve cannot count them: the PodGroup cycle
// reserves for each placement that it tries, and a binding may fail.
func (d *DRAAware) PostBind(_ context.Context, state fwk.CycleState, _ *v1.Pod, _ string) {
	if c := cycleOf(state); c != nil {
		metrics.Pairs(d.profile, metrics.Paired, c.paired)
		metrics.Pairs(d.profile, metrics.Unpaired, c.unpaired)
	}
}

// held returns the allocations of the pod's claims: the newly reserved ones and the older
// ones.
func (d *DRAAware) held(pod *v1.Pod, reserved []types.UID) ([]*resourceapi.AllocationResult, error) {
	var held []*resourceapi.AllocationResult
	seen := map[types.UID]bool{}
	for _, uid := range reserved {
		if allocation := d.claims.GetPendingAllocation(uid); allocation != nil && !seen[uid] {
			held = append(held, allocation)
			seen[uid] = true
		}
	}
	claims, err := d.devices.Claims(pod)
	if err != nil {
		return nil, fmt.Errorf("reading back the devices of pod %s: %w", klog.KObj(pod), err)
	}
	for _, claim := range claims {
		if claim.Status.Allocation != nil && !seen[claim.UID] {
			held = append(held, claim.Status.Allocation)
			seen[claim.UID] = true
		}
	}
	return held, nil
}

// attaches reports whether a claim got a device with binding conditions. Such a device must
// be attached to the node before the pod is bound, which can take minutes.
func (d *DRAAware) attaches(reserved []types.UID) bool {
	for _, uid := range reserved {
		allocation := d.claims.GetPendingAllocation(uid)
		if allocation == nil {
			continue
		}
		for i := range allocation.Devices.Results {
			if len(allocation.Devices.Results[i].BindingConditions) > 0 {
				return true
			}
		}
	}
	return false
}
