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
// is the same but the ResourceSlices that it sees while a pod is on stage.
type handle struct {
	fwk.Handle
	manager *manager
}

func newHandle(real fwk.Handle, s *stage, t *tracker) *handle {
	draManager := real.SharedDRAManager()
	return &handle{Handle: real, manager: &manager{
		SharedDRAManager: draManager,
		lister:           &lister{ResourceSliceLister: draManager.ResourceSlices(), stage: s},
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

// stage is where a plugin's own methods leave what the in-tree plugin meets on
// the call that they make next: its interfaces have no room for arguments. The
// scheduler runs PreFilter and Reserve of a profile one pod at a time; the locks
// are for whoever does not.
type stage struct {
	// turn is held by the pod on stage.
	turn sync.Mutex

	mu    sync.Mutex
	now   scene
	notes notes
}

// scene is what the in-tree plugin sees during a call.
type scene struct {
	// cycle shows its slices; nil shows all as they are.
	cycle *cycle
	// gang shows the pod the devices that were reserved for its claims by other
	// members.
	gang string
	pod  *v1.Pod
}

// notes are what the in-tree plugin did during a call.
type notes struct {
	// reserved are the claims that got a pending allocation.
	reserved []types.UID
	// shared are the claims that were shown with devices which they do not have yet.
	shared []sharedClaim
}

// perform runs a call of the in-tree plugin in a scene.
func (s *stage) perform(in scene, call func()) notes {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.set(in)
	defer s.set(scene{})
	call()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notes
}

func (s *stage) set(to scene) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.notes = to, notes{}
}

func (s *stage) scene() scene {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *stage) noteReserved(claim types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes.reserved = append(s.notes.reserved, claim)
}

// noteShared notes a claim that is shown with devices. It returns what was shown
// before, so that the pod is shown one copy however often it looks.
func (s *stage) noteShared(shared sharedClaim) *resourceapi.ResourceClaim {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, before := range s.notes.shared {
		if before.UID == shared.UID {
			return before.ResourceClaim
		}
	}
	s.notes.shared = append(s.notes.shared, shared)
	return shared.ResourceClaim
}

// lister shows the slices of the pod on stage.
type lister struct {
	fwk.ResourceSliceLister
	stage *stage
}

// ListWithDeviceTaintRules returns copies that may be rearranged until the node
// that they belong to is filtered, or else the real slices.
func (l *lister) ListWithDeviceTaintRules() ([]*resourceapi.ResourceSlice, error) {
	if c := l.stage.scene().cycle; c != nil {
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
	devices *cluster.Devices
	writers *writers
}

// Get returns the claim. The member of a gang on stage sees its claims with the
// devices that another member has reserved for them.
func (t *tracker) Get(namespace, name string) (*resourceapi.ResourceClaim, error) {
	claim, err := t.ResourceClaimTracker.Get(namespace, name)
	on := t.stage.scene()
	if err != nil || on.gang == "" || claim.Status.Allocation != nil {
		return claim, err
	}
	// Not only the pod on stage looks: events of claims are judged meanwhile.
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
	return t.stage.noteShared(sharedClaim{ResourceClaim: claim, gang: on.gang}), nil
}

// names says whether the claim is one of the pod's.
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

// GatherAllocatedState returns what the cycle on stage began with, or the part of
// it that the pod's planned node can be about. The allocator only reads it.
func (t *tracker) GatherAllocatedState() (*structured.AllocatedState, error) {
	if c := t.stage.scene().cycle; c != nil {
		return c.taken, nil
	}
	return t.ResourceClaimTracker.GatherAllocatedState()
}

// ListAllAllocatedDevices is GatherAllocatedState where devices cannot be shared.
func (t *tracker) ListAllAllocatedDevices() (sets.Set[structured.DeviceID], error) {
	c := t.stage.scene().cycle
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
	t.stage.noteReserved(uid)
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
