// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/structured"
)

// ClaimSet is a set of claims, with their allocations, whose devices are to be shown as free. The nil set is empty.
type ClaimSet struct {
	claims map[types.UID]bool
	// byDevice has the claims of the set that hold the whole of a device, by device.
	byDevice map[structured.DeviceID][]types.UID
}

// NewClaimSet returns an empty set.
func NewClaimSet() *ClaimSet {
	return &ClaimSet{claims: map[types.UID]bool{}, byDevice: map[structured.DeviceID][]types.UID{}}
}

// Add adds a claim with its allocation to the set.
func (s *ClaimSet) Add(claim types.UID, allocation *resourceapi.AllocationResult) {
	if s.claims[claim] {
		return
	}
	s.claims[claim] = true
	now := holdingOf(allocation)
	for _, id := range now.devices {
		s.byDevice[id] = append(s.byDevice[id], claim)
	}
}

// Has returns true if the claim is in the set.
func (s *ClaimSet) Has(claim types.UID) bool { return s != nil && s.claims[claim] }

// holders returns how many claims of the set hold the whole device, as the ledger shows them.
func (s *ClaimSet) holders(l *ledger, id structured.DeviceID) int {
	if s == nil {
		return 0
	}
	n := 0
	for _, claim := range s.byDevice[id] {
		if slices.Contains(l.claims[claim].devices, id) {
			n++
		}
	}
	return n
}
