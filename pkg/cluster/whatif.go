// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/dynamic-resource-allocation/structured"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// Without returns a cache (the state of the cluster from which nodes are planned) as it
// would be without the given pods and the allocations of claims that only they use, and the
// node list to pass to that cache's Refresh. The new cache is empty: its first Refresh reads
// all nodes and devices.
func (s *Cache) Without(nodes []fwk.NodeInfo, gone []*v1.Pod) (*Cache, []fwk.NodeInfo, error) {
	s.mu.Lock()
	levels, devices := s.levels, s.devices
	s.mu.Unlock()
	if devices != nil {
		devices = newDevices(withoutHolders(devices.manager, gone), devices.inventory.Fresh())
	}
	other, err := newCache(levels, devices)
	if err != nil {
		return nil, nil, err
	}
	left := map[string][]*v1.Pod{}
	for _, pod := range gone {
		left[pod.Spec.NodeName] = append(left[pod.Spec.NodeName], pod)
	}
	infos := make([]fwk.NodeInfo, len(nodes))
	for i, info := range nodes {
		infos[i] = info
		if info.Node() == nil || len(left[info.Node().Name]) == 0 {
			continue
		}
		infos[i] = info.Snapshot()
		for _, pod := range left[info.Node().Name] {
			if err := infos[i].RemovePod(klog.Background(), pod); err != nil {
				return nil, nil, fmt.Errorf("imagining node %s without pod %s: %w", info.Node().Name, klog.KObj(pod), err)
			}
		}
	}
	return other, infos, nil
}

// freedManager is a DRA manager that shows some claims as unallocated.
type freedManager struct {
	fwk.SharedDRAManager
	claims *freedClaims
}

// ResourceClaims returns a ResourceClaimTracker that shows the freed claims as unallocated.
func (m *freedManager) ResourceClaims() fwk.ResourceClaimTracker { return m.claims }

type freedClaims struct {
	fwk.ResourceClaimTracker
	freed   sets.Set[types.UID]
	devices sets.Set[structured.DeviceID]
}

// withoutHolders returns a DRA manager that shows the claims of these pods as unallocated,
// except claims that are reserved for other pods, too.
func withoutHolders(manager fwk.SharedDRAManager, gone []*v1.Pod) fwk.SharedDRAManager {
	claims := &freedClaims{ResourceClaimTracker: manager.ResourceClaims(), freed: sets.New[types.UID](), devices: sets.New[structured.DeviceID]()}
	uids := sets.New[types.UID]()
	for _, pod := range gone {
		uids.Insert(pod.UID)
	}
	for _, pod := range gone {
		for _, name := range claimNames(pod) {
			if claim, err := claims.ResourceClaimTracker.Get(pod.Namespace, name); err == nil {
				claims.free(claim, uids)
			}
		}
	}
	return &freedManager{SharedDRAManager: manager, claims: claims}
}

func claimNames(pod *v1.Pod) []string {
	var names []string
	for i := range pod.Spec.ResourceClaims {
		if name, _, err := resourceclaim.Name(pod, &pod.Spec.ResourceClaims[i]); err == nil && name != nil {
			names = append(names, *name)
		}
	}
	if extended := pod.Status.ExtendedResourceClaimStatus; extended != nil {
		names = append(names, extended.ResourceClaimName)
	}
	return names
}

func (c *freedClaims) free(claim *resourceapi.ResourceClaim, gone sets.Set[types.UID]) {
	for _, user := range claim.Status.ReservedFor {
		if !gone.Has(user.UID) {
			return
		}
	}
	allocation := claim.Status.Allocation
	if allocation == nil {
		allocation = c.ResourceClaimTracker.GetPendingAllocation(claim.UID)
	}
	c.freed.Insert(claim.UID)
	if allocation == nil {
		return
	}
	for _, result := range allocation.Devices.Results {
		c.devices.Insert(structured.MakeDeviceID(result.Driver, result.Pool, result.Device))
	}
}

// Get returns the claim. A freed claim has an empty status.
func (c *freedClaims) Get(namespace, name string) (*resourceapi.ResourceClaim, error) {
	claim, err := c.ResourceClaimTracker.Get(namespace, name)
	if err != nil || !c.freed.Has(claim.UID) {
		return claim, err
	}
	return Unused(claim), nil
}

// GetPendingAllocation returns the pending allocation of the claim, or nil for a freed claim.
func (c *freedClaims) GetPendingAllocation(uid types.UID) *resourceapi.AllocationResult {
	if c.freed.Has(uid) {
		return nil
	}
	return c.ResourceClaimTracker.GetPendingAllocation(uid)
}

// GatherAllocatedState omits the devices of freed claims. It keeps their shared devices and
// consumed capacity, so the result may show too few free devices.
func (c *freedClaims) GatherAllocatedState() (*structured.AllocatedState, error) {
	state, err := c.ResourceClaimTracker.GatherAllocatedState()
	if err != nil {
		return nil, err
	}
	without := *state
	without.AllocatedDevices = state.AllocatedDevices.Difference(c.devices)
	return &without, nil
}
