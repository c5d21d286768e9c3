// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// reasonTwice is the event reason for a pod with a device that another claim has as well.
const reasonTwice = "DeviceAllocatedTwice"

// refuseTwice looks once more at the pod's allocated claims before the pod is bound. If
// another claim has one of their devices, the claims that only this pod uses are
// deallocated, and the pod fails: its gang is planned again. A claim that others use, or
// that is reserved for a PodGroup, stays allocated, and the pod fails until the other claim
// loses the device. Of two schedulers that allocate a device, the later one sees the other's
// claim if its informer is up to date.
func (d *DRAAware) refuseTwice(ctx context.Context, pod *v1.Pod, node string) *fwk.Status {
	if d.claims == nil {
		return nil
	}
	for name := range resourceclaim.PodClaims(pod) {
		claim, err := d.claims.Get(pod.Namespace, name)
		if err != nil {
			continue // deleted; the kubelet refuses the pod
		}
		device, other, twice := d.allocations.other(claim.UID, claim.Status.Allocation, d.stillHolds)
		if !twice {
			continue
		}
		outcome := "the pod gives its devices back"
		if !d.giveBack(ctx, &waiting{pods: cluster.ByName(pod), uids: sets.New(pod.UID)}) {
			outcome = "the pod is not bound while both claims have the device"
		}
		said := fmt.Sprintf("device %s of driver %s in pool %s is allocated to resource claim %s/%s and to %s/%s: another scheduler allocates devices of node %s; %s",
			device.device, device.driver, device.pool, claim.Namespace, claim.Name, other.Namespace, other.Name, node, outcome)
		metrics.GivenBackTwice(d.profile)
		d.events.Eventf(pod, nil, v1.EventTypeWarning, reasonTwice, "Scheduling", "%s", said)
		d.logger.Info("A device is allocated twice", "pod", klog.KObj(pod), "resourceclaim", klog.KObj(claim), "other", other, "device", device.device)
		return fwk.NewStatus(fwk.Unschedulable, said)
	}
	return nil
}

// stillHolds reports whether the claim tracker, the scheduler's own state of claims, shows the
// claim with the device. The tracker may be ahead of the informer.
func (d *DRAAware) stillHolds(name types.NamespacedName, uid types.UID, device deviceName) bool {
	claim, err := d.claims.Get(name.Namespace, name.Name)
	return err == nil && claim.UID == uid && slices.Contains(wholeDevices(claim.Status.Allocation), device)
}
