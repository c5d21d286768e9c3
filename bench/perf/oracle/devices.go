// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/dynamic-resource-allocation/structured"
	fwk "k8s.io/kube-scheduler/framework"
	stockconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
)

// devices is the in-tree DynamicResources plugin. It sees a single node through its handle.
type devices struct {
	*dynamicresources.DynamicResources
}

func newDevices(ctx context.Context, handle fwk.Handle, view *deviceView) (fwk.Plugin, error) {
	view.SharedDRAManager = handle.SharedDRAManager()
	features := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
	inner, err := dynamicresources.New(ctx, &stockconfig.DynamicResourcesArgs{}, narrowHandle{Handle: handle, view: view}, features)
	if err != nil {
		return nil, err
	}
	stock, ok := inner.(*dynamicresources.DynamicResources)
	if !ok {
		return nil, fmt.Errorf("the DynamicResources plugin is a %T", inner)
	}
	return devices{stock}, nil
}

func (devices) Name() string { return DevicesName }

// narrowHandle is the handle of the in-tree plugin. Its DRA manager shows the devices of
// a single node.
type narrowHandle struct {
	fwk.Handle
	view *deviceView
}

func (n narrowHandle) SharedDRAManager() fwk.SharedDRAManager { return n.view }

// deviceView shows the in-tree plugin the ResourceSlices and the allocated devices of a
// single node. It never releases devices, because the workloads delete nothing.
type deviceView struct {
	fwk.SharedDRAManager
	nodes   map[string]*nodeDevices
	pools   map[pool]*nodeDevices
	visible *nodeDevices
}

type pool struct{ driver, name string }

// nodeDevices are the devices of one node.
type nodeDevices struct {
	slices    []*resourceapi.ResourceSlice
	allocated sets.Set[structured.DeviceID]
	total     int
}

// devicesFor counts the devices that the pod's claims still need. It returns an error
// unless each claim belongs to one pod and requests an exact count.
func (s *deviceView) devicesFor(pod *v1.Pod) (int, error) {
	need := 0
	for i := range pod.Spec.ResourceClaims {
		name, _, err := resourceclaim.Name(pod, &pod.Spec.ResourceClaims[i])
		if err != nil || name == nil {
			return 0, err
		}
		claim, err := s.SharedDRAManager.ResourceClaims().Get(pod.Namespace, *name)
		if err != nil {
			return 0, err
		}
		if claim.Status.Allocation != nil {
			continue
		}
		for _, request := range claim.Spec.Devices.Requests {
			if request.Exactly == nil || request.Exactly.AllocationMode != resourceapi.DeviceAllocationModeExactCount {
				return 0, fmt.Errorf("claim %s requests devices in a way that the oracle does not support", claim.Name)
			}
			need += int(request.Exactly.Count)
		}
	}
	if need > 0 && s.nodes == nil {
		return need, s.read()
	}
	return need, nil
}

// read reads the devices of every node and their allocations.
func (s *deviceView) read() error {
	slices, err := s.SharedDRAManager.ResourceSlices().ListWithDeviceTaintRules()
	if err != nil {
		return err
	}
	state, err := s.SharedDRAManager.ResourceClaims().GatherAllocatedState()
	if err != nil {
		return err
	}
	s.nodes, s.pools = map[string]*nodeDevices{}, map[pool]*nodeDevices{}
	for _, slice := range slices {
		if slice.Spec.NodeName == nil {
			return fmt.Errorf("slice %s does not belong to one node, which the oracle does not support", slice.Name)
		}
		at := s.nodes[*slice.Spec.NodeName]
		if at == nil {
			at = &nodeDevices{allocated: sets.New[structured.DeviceID]()}
			s.nodes[*slice.Spec.NodeName] = at
		}
		at.slices = append(at.slices, slice)
		at.total += len(slice.Spec.Devices)
		s.pools[pool{slice.Spec.Driver, slice.Spec.Pool.Name}] = at
	}
	for id := range state.AllocatedDevices {
		s.markAllocated(id)
	}
	return nil
}

func (s *deviceView) markAllocated(id structured.DeviceID) {
	if at := s.pools[pool{id.Driver.String(), id.Pool.String()}]; at != nil {
		at.allocated.Insert(id)
	}
}

// show makes the node the visible node of the in-tree plugin. It returns false if the
// node has too few free devices. For a pod without devices it returns true and makes no
// node visible.
func (s *deviceView) show(node string, devices int) bool {
	s.visible = nil
	if devices == 0 {
		return true
	}
	at := s.nodes[node]
	if at == nil || at.total-at.allocated.Len() < devices {
		return false
	}
	s.visible = at
	return true
}

// reset discards the devices. The next pod with claims reads them again.
func (s *deviceView) reset() { s.nodes, s.pools, s.visible = nil, nil, nil }

func (s *deviceView) ResourceSlices() fwk.ResourceSliceLister { return visibleSlices{s} }

func (s *deviceView) ResourceClaims() fwk.ResourceClaimTracker {
	return visibleClaims{ResourceClaimTracker: s.SharedDRAManager.ResourceClaims(), view: s}
}

// visibleSlices lists the slices of the visible node.
type visibleSlices struct{ view *deviceView }

func (l visibleSlices) ListWithDeviceTaintRules() ([]*resourceapi.ResourceSlice, error) {
	if at := l.view.visible; at != nil {
		return at.slices, nil
	}
	return l.view.SharedDRAManager.ResourceSlices().ListWithDeviceTaintRules()
}

// visibleClaims returns the allocated devices of the visible node, and records new
// allocations.
type visibleClaims struct {
	fwk.ResourceClaimTracker
	view *deviceView
}

func (c visibleClaims) GatherAllocatedState() (*structured.AllocatedState, error) {
	if at := c.view.visible; at != nil {
		return &structured.AllocatedState{
			AllocatedDevices:         at.allocated,
			AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
			AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
		}, nil
	}
	return c.ResourceClaimTracker.GatherAllocatedState()
}

func (c visibleClaims) ListAllAllocatedDevices() (sets.Set[structured.DeviceID], error) {
	if at := c.view.visible; at != nil {
		return at.allocated, nil
	}
	return c.ResourceClaimTracker.ListAllAllocatedDevices()
}

func (c visibleClaims) SignalClaimPendingAllocation(uid types.UID, claim *resourceapi.ResourceClaim) error {
	if err := c.ResourceClaimTracker.SignalClaimPendingAllocation(uid, claim); err != nil {
		return err
	}
	for _, result := range claim.Status.Allocation.Devices.Results {
		c.view.markAllocated(structured.MakeDeviceID(result.Driver, result.Pool, result.Device))
	}
	return nil
}
