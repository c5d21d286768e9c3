// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/devices"
)

// TakeAsGone takes the pods to be gone in every scheduling cycle of the profile that begins until
// the returned function is called. It is for dry runs in which the scheduler makes the
// CycleStates: preemption for a PodGroup. The set may change in between.
func (d *Profile) TakeAsGone(gone *GonePods) (end func()) {
	d.gone.Store(gone)
	return func() { d.gone.Store(nil) }
}

// GoneOf returns the pods that are taken to be gone in the cycle, because of SetGone or of
// TakeAsGone. It returns nil if there are none.
func (d *Profile) GoneOf(state fwk.CycleState) *GonePods {
	if gone := GoneOf(state); gone != nil {
		return gone
	}
	return d.gone.Load()
}

// Without returns the devices as they would be if the freed claims had none.
func (d *Devices) Without(freed *devices.ClaimSet) (*devices.WithoutClaims, error) {
	d.mu.Lock()
	following := d.following
	d.mu.Unlock()
	if following {
		return d.inventory.Without(freed), nil
	}
	claims, err := d.manager.ResourceClaims().List()
	if err != nil {
		return nil, err
	}
	held := make(map[types.UID]*resourceapi.AllocationResult, len(claims))
	for _, claim := range claims {
		if allocation := d.AllocationOf(claim); allocation != nil {
			held[claim.UID] = allocation
		}
	}
	return d.inventory.WithoutAmong(freed, held), nil
}

// AllocationOf returns the claim's allocation or, if it has none, its pending allocation.
func (d *Devices) AllocationOf(claim *resourceapi.ResourceClaim) *resourceapi.AllocationResult {
	if claim.Status.Allocation != nil {
		return claim.Status.Allocation
	}
	return d.manager.ResourceClaims().GetPendingAllocation(claim.UID)
}
