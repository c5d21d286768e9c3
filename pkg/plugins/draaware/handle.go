// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"sync"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/dynamic-resource-allocation/structured"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// handle is what the in-tree plugin gets in place of the framework's handle: all
// is the same but the ResourceSlices that it sees during a call for a pod.
type handle struct {
	fwk.Handle
	manager *manager
}

func newHandle(real fwk.Handle, s *innerCalls, t *tracker) *handle {
	draManager := real.SharedDRAManager()
	return &handle{Handle: real, manager: &manager{
		SharedDRAManager: draManager,
		lister:           &lister{ResourceSliceLister: draManager.ResourceSlices(), innerCalls: s},
		tracker:          t,
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

// innerCalls hands the in-tree plugin what it needs during the call that is under way: its
// interfaces have no room for arguments. The scheduler runs PreFilter and Reserve of a
// profile one pod at a time; the locks are for callers that do not.
type innerCalls struct {
	// running is held during a call.
	running sync.Mutex

	mu      sync.Mutex
	now     callContext
	effects effects
}

// callContext is what the in-tree plugin sees during a call.
type callContext struct {
	// cycle shows its slices; nil shows all as they are.
	cycle *cycle
	// gang shows the pod the devices that were reserved for its claims by other
	// members.
	gang string
	pod  *v1.Pod
}

// effects are what the in-tree plugin did during a call.
type effects struct {
	// reserved are the claims that got a pending allocation.
	reserved []types.UID
	// shared are the claims that were shown with devices which they do not have yet.
	shared []sharedClaim
}

// run runs a call of the in-tree plugin with that context.
func (s *innerCalls) run(in callContext, call func()) effects {
	s.running.Lock()
	defer s.running.Unlock()
	s.set(in)
	defer s.set(callContext{})
	call()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.effects
}

func (s *innerCalls) set(to callContext) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.effects = to, effects{}
}

func (s *innerCalls) current() callContext {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *innerCalls) noteReserved(claim types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.effects.reserved = append(s.effects.reserved, claim)
}

// noteShared records a claim that is shown with devices. It returns what was shown
// before, so that the pod is shown one copy however often it looks.
func (s *innerCalls) noteShared(shared sharedClaim) *resourceapi.ResourceClaim {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, before := range s.effects.shared {
		if before.UID == shared.UID {
			return before.ResourceClaim
		}
	}
	s.effects.shared = append(s.effects.shared, shared)
	return shared.ResourceClaim
}

// lister shows the slices of the pod of the call.
type lister struct {
	fwk.ResourceSliceLister
	innerCalls *innerCalls
}

// ListWithDeviceTaintRules returns copies that may be rearranged until the node
// that they belong to is filtered, or else the real slices.
func (l *lister) ListWithDeviceTaintRules() ([]*resourceapi.ResourceSlice, error) {
	if c := l.innerCalls.current().cycle; c != nil {
		return c.show(), nil
	}
	return l.ResourceSliceLister.ListWithDeviceTaintRules()
}

// tracker effects which claims got a pending allocation (the one that stands for
// extended resources has no other owner), shows what is in use to the pod on
// innerCalls, and passes every change on to the device counts.
type tracker struct {
	fwk.ResourceClaimTracker
	innerCalls *innerCalls
	devices    *cluster.Devices
	writers    *writers
}

// Get returns the claim. The member of a gang on innerCalls sees its claims with the
// devices that another member has reserved for them.
func (t *tracker) Get(namespace, name string) (*resourceapi.ResourceClaim, error) {
	claim, err := t.ResourceClaimTracker.Get(namespace, name)
	on := t.innerCalls.current()
	if err != nil || on.gang == "" || claim.Status.Allocation != nil {
		return claim, err
	}
	// Not only the pod on innerCalls looks: events of claims are judged meanwhile.
	if t.writers.of(claim.UID, on.gang) == nil || !names(on.pod, claim) {
		return claim, nil
	}
	pending := t.GetPendingAllocation(claim.UID)
	if pending == nil {
		// It was written between the two looks, or the writer has just given up.
		return t.ResourceClaimTracker.Get(namespace, name)
	}
	claim = claim.DeepCopy()
	claim.Status.Allocation = pending
	return t.innerCalls.noteShared(sharedClaim{ResourceClaim: claim, gang: on.gang}), nil
}

// names reports whether the claim is one of the pod's.
func names(pod *v1.Pod, claim *resourceapi.ResourceClaim) bool {
	if pod.Namespace != claim.Namespace {
		return false
	}
	for name := range resourceclaim.PodClaims(pod) {
		if name == claim.Name {
			return true
		}
	}
	return false
}

// GatherAllocatedState returns what the cycle on innerCalls began with, or the part of
// it that the pod's planned node can be about. The allocator only reads it.
func (t *tracker) GatherAllocatedState() (*structured.AllocatedState, error) {
	if c := t.innerCalls.current().cycle; c != nil {
		return c.taken, nil
	}
	return t.ResourceClaimTracker.GatherAllocatedState()
}

// ListAllAllocatedDevices is GatherAllocatedState where devices cannot be shared.
func (t *tracker) ListAllAllocatedDevices() (sets.Set[structured.DeviceID], error) {
	c := t.innerCalls.current().cycle
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
	t.devices.ClaimAssumed(claim)
	t.innerCalls.noteReserved(uid)
	return nil
}

// MaybeRemoveClaimPendingAllocation passes the word on.
func (t *tracker) MaybeRemoveClaimPendingAllocation(uid types.UID, force bool) bool {
	removed := t.ResourceClaimTracker.MaybeRemoveClaimPendingAllocation(uid, force)
	t.devices.ClaimReleased(uid)
	return removed
}

// AssumeClaimAfterAPICall passes the claim on.
func (t *tracker) AssumeClaimAfterAPICall(claim *resourceapi.ResourceClaim) error {
	err := t.ResourceClaimTracker.AssumeClaimAfterAPICall(claim)
	t.devices.ClaimAssumed(claim)
	return err
}

// AssumedClaimRestore passes the word on.
func (t *tracker) AssumedClaimRestore(namespace, name string) {
	t.ResourceClaimTracker.AssumedClaimRestore(namespace, name)
	if claim, err := t.ResourceClaimTracker.Get(namespace, name); err == nil {
		t.devices.ClaimAssumed(claim)
	}
}
