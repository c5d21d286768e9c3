// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

var errNoSuchObject = errors.New("no such object")

// classes are the device classes of the fleets.
type classes map[string]*resourceapi.DeviceClass

func newClasses() classes {
	byName := classes{}
	for _, class := range fleet.Classes() {
		byName[class.Name] = class
	}
	return byName
}

// List returns all classes, in the order of the fleet package.
func (c classes) List() ([]*resourceapi.DeviceClass, error) { return fleet.Classes(), nil }

// Get returns the class of that name.
func (c classes) Get(name string) (*resourceapi.DeviceClass, error) {
	if class := c[name]; class != nil {
		return class, nil
	}
	return nil, errNoSuchObject
}

// GetDeviceClass returns nil, because no pod of the simulation requests extended resources.
func (c classes) GetDeviceClass(v1.ResourceName) *resourceapi.DeviceClass { return nil }

// draView is the scheduler's view of devices. It implements only the methods that
// Dovetail's packages call.
type draView struct{ *simulatedCluster }

// ResourceClaims returns the claims.
func (d draView) ResourceClaims() fwk.ResourceClaimTracker {
	return claimView{cluster: d.simulatedCluster}
}

// ResourceSlices returns the slices of all nodes.
func (d draView) ResourceSlices() fwk.ResourceSliceLister { return d }

// DeviceClasses returns the classes.
func (d draView) DeviceClasses() fwk.DeviceClassLister { return d.classes }

// DeviceClassResolver returns the classes.
func (d draView) DeviceClassResolver() fwk.DeviceClassResolver { return d.classes }

// ListWithDeviceTaintRules returns the slices of all nodes, because there are no DeviceTaintRules.
func (d draView) ListWithDeviceTaintRules() ([]*resourceapi.ResourceSlice, error) { return d.Slices() }

// Slice returns the slice of that name.
func (d draView) Slice(name string) (*resourceapi.ResourceSlice, error) {
	for _, m := range d.machines {
		for _, slice := range m.slices {
			if slice.Name == name {
				return slice, nil
			}
		}
	}
	return nil, nil
}

// Slices returns the slices of all nodes.
func (d draView) Slices() ([]*resourceapi.ResourceSlice, error) {
	var all []*resourceapi.ResourceSlice
	for _, m := range d.machines {
		all = append(all, m.slices...)
	}
	return all, nil
}

// Ruled returns false, because there are no DeviceTaintRules.
func (d draView) Ruled() bool { return false }

// Synced returns true: the scheduler waits for nothing, because it reads the simulated objects
// themselves and not an informer's copies.
func (d draView) Synced() bool { return true }

type claimView struct {
	fwk.ResourceClaimTracker
	cluster *simulatedCluster
}

// Get returns the claim of that name.
func (c claimView) Get(_, name string) (*resourceapi.ResourceClaim, error) {
	if claim := c.cluster.claims[name]; claim != nil {
		return claim, nil
	}
	return nil, errNoSuchObject
}

// GetPendingAllocation returns nil: allocations take effect at once.
func (c claimView) GetPendingAllocation(types.UID) *resourceapi.AllocationResult { return nil }
