// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Order is an order of a node's devices for the stock allocator. The allocator takes the
// first devices that fit, and these are the ones that were chosen for alignment.
type Order struct {
	// Pairing is the number of devices chosen from each alignment unit (devices that are
	// close to each other).
	Pairing Pairing
	// Demand is how many GPUs and NICs the pod needs.
	Demand Demand
	// first has the rank of each chosen device. All other devices follow in the order of the
	// slice.
	first map[structured.DeviceID]int
}

// Arrange returns the ResourceSlice with the chosen devices first. The result is a copy,
// or the slice itself if it already has this order. The copy shares everything with the
// slice except the list of devices.
func (o *Order) Arrange(slice *resourceapi.ResourceSlice) *resourceapi.ResourceSlice {
	rank := make(map[string]int, len(slice.Spec.Devices))
	ranks := make([]int, len(slice.Spec.Devices))
	for i := range slice.Spec.Devices {
		name := slice.Spec.Devices[i].Name
		place, chosen := o.first[structured.MakeDeviceID(slice.Spec.Driver, slice.Spec.Pool.Name, name)]
		if !chosen {
			place = len(o.first) + i
		}
		rank[name], ranks[i] = place, place
	}
	if slices.IsSorted(ranks) {
		return slice
	}
	arranged := *slice
	arranged.Spec.Devices = slices.Clone(slice.Spec.Devices)
	slices.SortFunc(arranged.Spec.Devices, func(a, b resourceapi.Device) int { return rank[a.Name] - rank[b.Name] })
	return &arranged
}
