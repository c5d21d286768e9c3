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

// devices is the in-tree plugin with its eyes on one node.
type devices struct {
	*dynamicresources.DynamicResources
}

func newDevices(ctx context.Context, handle fwk.Handle, seen *sight) (fwk.Plugin, error) {
	seen.SharedDRAManager = handle.SharedDRAManager()
	features := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
	inner, err := dynamicresources.New(ctx, &stockconfig.DynamicResourcesArgs{}, narrow{Handle: handle, sight: seen}, features)
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

// narrow is the handle that the in-tree plugin gets.
type narrow struct {
	fwk.Handle
	sight *sight
}

func (n narrow) SharedDRAManager() fwk.SharedDRAManager { return n.sight }

// sight shows the slices of the chosen node and what is in use there. Devices are never given back: the workloads
// delete nothing.
type sight struct {
	fwk.SharedDRAManager
	shelves map[string]*shelf
	pools   map[pool]*shelf
	chosen  *shelf
}

type pool struct{ driver, name string }

// shelf is what one node has.
type shelf struct {
	slices []*resourceapi.ResourceSlice
	taken  sets.Set[structured.DeviceID]
	total  int
}

// devicesFor counts the devices that the pod's claims still need. They ask for devices of their own by number.
func (s *sight) devicesFor(pod *v1.Pod) (int, error) {
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
				return 0, fmt.Errorf("claim %s asks for devices in a way that the oracle does not know", claim.Name)
			}
			need += int(request.Exactly.Count)
		}
	}
	if need > 0 && s.shelves == nil {
		return need, s.look()
	}
	return need, nil
}

// look reads what every node has and what is in use.
func (s *sight) look() error {
	slices, err := s.SharedDRAManager.ResourceSlices().ListWithDeviceTaintRules()
	if err != nil {
		return err
	}
	state, err := s.SharedDRAManager.ResourceClaims().GatherAllocatedState()
	if err != nil {
		return err
	}
	s.shelves, s.pools = map[string]*shelf{}, map[pool]*shelf{}
	for _, slice := range slices {
		if slice.Spec.NodeName == nil {
			return fmt.Errorf("slice %s is not of one node, which the oracle does not know", slice.Name)
		}
		at := s.shelves[*slice.Spec.NodeName]
		if at == nil {
			at = &shelf{taken: sets.New[structured.DeviceID]()}
			s.shelves[*slice.Spec.NodeName] = at
		}
		at.slices = append(at.slices, slice)
		at.total += len(slice.Spec.Devices)
		s.pools[pool{slice.Spec.Driver, slice.Spec.Pool.Name}] = at
	}
	for id := range state.AllocatedDevices {
		s.take(id)
	}
	return nil
}

func (s *sight) take(id structured.DeviceID) {
	if at := s.pools[pool{id.Driver.String(), id.Pool.String()}]; at != nil {
		at.taken.Insert(id)
	}
}

// choose makes a node the one that is shown, if it has so many devices left.
func (s *sight) choose(node string, devices int) bool {
	s.chosen = nil
	if devices == 0 {
		return true
	}
	at := s.shelves[node]
	if at == nil || at.total-at.taken.Len() < devices {
		return false
	}
	s.chosen = at
	return true
}

// forget has the next pod with claims read everything anew.
func (s *sight) forget() { s.shelves, s.pools, s.chosen = nil, nil, nil }

func (s *sight) ResourceSlices() fwk.ResourceSliceLister { return shown{s} }

func (s *sight) ResourceClaims() fwk.ResourceClaimTracker {
	return counted{ResourceClaimTracker: s.SharedDRAManager.ResourceClaims(), sight: s}
}

// shown are the slices of the chosen node.
type shown struct{ sight *sight }

func (l shown) ListWithDeviceTaintRules() ([]*resourceapi.ResourceSlice, error) {
	if at := l.sight.chosen; at != nil {
		return at.slices, nil
	}
	return l.sight.SharedDRAManager.ResourceSlices().ListWithDeviceTaintRules()
}

// counted says what is in use on the chosen node, and counts what is reserved.
type counted struct {
	fwk.ResourceClaimTracker
	sight *sight
}

func (c counted) GatherAllocatedState() (*structured.AllocatedState, error) {
	if at := c.sight.chosen; at != nil {
		return &structured.AllocatedState{
			AllocatedDevices:         at.taken,
			AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
			AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
		}, nil
	}
	return c.ResourceClaimTracker.GatherAllocatedState()
}

func (c counted) ListAllAllocatedDevices() (sets.Set[structured.DeviceID], error) {
	if at := c.sight.chosen; at != nil {
		return at.taken, nil
	}
	return c.ResourceClaimTracker.ListAllAllocatedDevices()
}

func (c counted) SignalClaimPendingAllocation(uid types.UID, claim *resourceapi.ResourceClaim) error {
	if err := c.ResourceClaimTracker.SignalClaimPendingAllocation(uid, claim); err != nil {
		return err
	}
	for _, result := range claim.Status.Allocation.Devices.Results {
		c.sight.take(structured.MakeDeviceID(result.Driver, result.Pool, result.Device))
	}
	return nil
}
