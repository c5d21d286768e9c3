// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"slices"
	"sync"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/snapshot"
)

// handle is what the in-tree plugin gets in place of the framework's handle: all
// is the same but the ResourceSlices that it sees while a pod is on stage.
type handle struct {
	fwk.Handle
	manager *manager
}

func newHandle(real fwk.Handle, s *stage, devices *snapshot.Devices) *handle {
	draManager := real.SharedDRAManager()
	return &handle{Handle: real, manager: &manager{
		SharedDRAManager: draManager,
		lister:           &lister{ResourceSliceLister: draManager.ResourceSlices(), stage: s},
		tracker:          &tracker{ResourceClaimTracker: draManager.ResourceClaims(), stage: s, devices: devices},
	}}
}

// SharedDRAManager returns the manager of the in-tree plugin.
func (h *handle) SharedDRAManager() fwk.SharedDRAManager { return h.manager }

// manager shares all bookkeeping with the rest of the scheduler.
type manager struct {
	fwk.SharedDRAManager
	lister  *lister
	tracker *tracker
}

func (m *manager) ResourceSlices() fwk.ResourceSliceLister { return m.lister }

func (m *manager) ResourceClaims() fwk.ResourceClaimTracker { return m.tracker }

// stage is where a plugin's own methods leave what the in-tree plugin meets on
// the call that they make next: its interfaces have no room for arguments. The
// scheduler runs PreFilter and Reserve of a profile one pod at a time; the locks
// are for whoever does not.
type stage struct {
	// turn is held by the pod on stage.
	turn sync.Mutex

	mu    sync.Mutex
	show  *cycle
	noted []types.UID
}

// perform runs a call of the in-tree plugin that sees the slices of a cycle, nil
// for all as they are. It returns the claims that got a pending allocation.
func (s *stage) perform(show *cycle, call func()) []types.UID {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.set(show)
	defer s.set(nil)
	call()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.noted)
}

func (s *stage) set(show *cycle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.show, s.noted = show, nil
}

func (s *stage) onShow() *cycle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.show
}

func (s *stage) note(claim types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted = append(s.noted, claim)
}

// lister shows the slices of the pod on stage.
type lister struct {
	fwk.ResourceSliceLister
	stage *stage
}

// ListWithDeviceTaintRules returns copies that may be rearranged until the node
// that they belong to is filtered, or else the real slices.
func (l *lister) ListWithDeviceTaintRules() ([]*resourceapi.ResourceSlice, error) {
	if c := l.stage.onShow(); c != nil {
		return c.show(), nil
	}
	return l.ResourceSliceLister.ListWithDeviceTaintRules()
}

// tracker notes which claims got a pending allocation (the one that stands for
// extended resources is known to nobody else), shows what is in use to the pod on
// stage, and tells the device counts of everything that it is told.
type tracker struct {
	fwk.ResourceClaimTracker
	stage   *stage
	devices *snapshot.Devices
}

// GatherAllocatedState returns what the cycle on stage began with, or the part of
// it that the pod's planned node can be about. The allocator only reads it.
func (t *tracker) GatherAllocatedState() (*structured.AllocatedState, error) {
	if c := t.stage.onShow(); c != nil {
		return c.taken, nil
	}
	return t.ResourceClaimTracker.GatherAllocatedState()
}

// ListAllAllocatedDevices is GatherAllocatedState where devices cannot be shared.
func (t *tracker) ListAllAllocatedDevices() (sets.Set[structured.DeviceID], error) {
	c := t.stage.onShow()
	if c == nil {
		return t.ResourceClaimTracker.ListAllAllocatedDevices()
	}
	all := c.taken.AllocatedDevices.Clone()
	for id := range c.taken.AllocatedSharedDeviceIDs {
		all.Insert(id.GetDeviceID())
	}
	return all, nil
}

// SignalClaimPendingAllocation passes the signal on.
func (t *tracker) SignalClaimPendingAllocation(uid types.UID, claim *resourceapi.ResourceClaim) error {
	if err := t.ResourceClaimTracker.SignalClaimPendingAllocation(uid, claim); err != nil {
		return err
	}
	t.devices.ClaimTouched(claim)
	t.stage.note(uid)
	return nil
}

// MaybeRemoveClaimPendingAllocation passes the word on.
func (t *tracker) MaybeRemoveClaimPendingAllocation(uid types.UID, force bool) bool {
	removed := t.ResourceClaimTracker.MaybeRemoveClaimPendingAllocation(uid, force)
	t.devices.ClaimLeft(uid)
	return removed
}

// AssumeClaimAfterAPICall passes the claim on.
func (t *tracker) AssumeClaimAfterAPICall(claim *resourceapi.ResourceClaim) error {
	err := t.ResourceClaimTracker.AssumeClaimAfterAPICall(claim)
	t.devices.ClaimTouched(claim)
	return err
}

// AssumedClaimRestore passes the word on.
func (t *tracker) AssumedClaimRestore(namespace, name string) {
	t.ResourceClaimTracker.AssumedClaimRestore(namespace, name)
	if claim, err := t.Get(namespace, name); err == nil {
		t.devices.ClaimTouched(claim)
	}
}
