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

	"github.com/dovetail-dev/dovetail/pkg/claimwrites"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// handle is the framework handle of the in-tree plugin. It differs from the real one in the
// ResourceSlices and ResourceClaims that it shows during a call for a pod, and in its client,
// which reads a claim again if the answer to a write of the claim is lost.
type handle struct {
	claimwrites.Handle
	manager *manager
}

func newHandle(real fwk.Handle, s *innerCalls, t *tracker) *handle {
	draManager := real.SharedDRAManager()
	return &handle{Handle: claimwrites.NewHandle(real, t.seen), manager: &manager{
		SharedDRAManager: draManager,
		lister:           &lister{ResourceSliceLister: draManager.ResourceSlices(), innerCalls: s},
		tracker:          t,
	}}
}

// SharedDRAManager returns the manager for the in-tree plugin.
func (h *handle) SharedDRAManager() fwk.SharedDRAManager { return h.manager }

// manager wraps the scheduler's DRA manager. It shows ResourceSlices through lister and
// ResourceClaims through tracker, and shares all other state with the rest of the scheduler.
type manager struct {
	fwk.SharedDRAManager
	lister  *lister
	tracker *tracker
}

func (m *manager) ResourceSlices() fwk.ResourceSliceLister { return m.lister }

func (m *manager) ResourceClaims() fwk.ResourceClaimTracker { return m.tracker }

// innerCalls has the arguments of the current call of the in-tree plugin: its methods have no
// parameters for them. The scheduler runs PreFilter and Reserve of a profile for one pod at a
// time; the locks are for callers that run them concurrently.
type innerCalls struct {
	// running is locked during each call of the in-tree plugin.
	running sync.Mutex

	mu      sync.Mutex
	now     callContext
	effects effects
}

// callContext is the input of a call of the in-tree plugin.
type callContext struct {
	// cycle has the ResourceSlices to show to the call. If it is nil, the call sees the
	// real slices.
	cycle *cycle
	// gang is the pod's gang. The pod sees the devices that other members reserved for its
	// claims.
	gang string
	pod  *v1.Pod
	// subrequests are the alternatives (firstAvailable) that the plan of the gang chose. The
	// pod sees its claims without the other alternatives.
	subrequests gangs.Subrequests
	// setting has the claims that a dry run takes to be freed. The pod sees those of its own
	// as unallocated.
	setting
}

// effects are the side effects of a call of the in-tree plugin.
type effects struct {
	// reserved are the claims that got a pending allocation.
	reserved []types.UID
	// extended is the claim of these that the in-tree plugin creates for extended resources, ""
	// if there is none. In the API server it has another UID.
	extended types.UID
	// shared are the claims that the call saw with devices which another member of the
	// gang has reserved for them and not written yet.
	shared []sharedClaim
	// narrowed are the claims that the call saw with the chosen subrequests alone.
	narrowed []narrowedClaim
}

// run runs a call of the in-tree plugin with the given input. It returns the call's
// effects.
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

func (s *innerCalls) noteReserved(claim types.UID, extended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.effects.reserved = append(s.effects.reserved, claim)
	if extended {
		s.effects.extended = claim
	}
}

// noteShared records a claim that the call sees with the devices that another member of the
// gang has reserved for it. If the call saw the claim before, noteShared returns the earlier
// copy: the pod must always see the same copy, which is updated before the pod is bound.
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

// noteNarrowed records a claim shown with the chosen subrequests alone. If the call saw the
// claim before, it returns the earlier copy.
func (s *innerCalls) noteNarrowed(narrowed narrowedClaim) *resourceapi.ResourceClaim {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, before := range s.effects.narrowed {
		if before.shown.UID == narrowed.shown.UID {
			return before.shown
		}
	}
	s.effects.narrowed = append(s.effects.narrowed, narrowed)
	return narrowed.shown
}

// lister shows the slices of the current call.
type lister struct {
	fwk.ResourceSliceLister
	innerCalls *innerCalls
}

// ListWithDeviceTaintRules returns the cycle's copies, which Filter of their node may still
// reorder. Outside a cycle it returns the real slices.
func (l *lister) ListWithDeviceTaintRules() ([]*resourceapi.ResourceSlice, error) {
	if c := l.innerCalls.current().cycle; c != nil {
		return c.show(), nil
	}
	return l.ResourceSliceLister.ListWithDeviceTaintRules()
}

// tracker wraps the claim tracker. It records the claims that get a pending allocation, the
// claim for extended resources included, which no pod lists. To the pod of the current call it
// shows the devices that are in use at the start of the pod's cycle. It passes every change to
// the counts of free devices.
type tracker struct {
	fwk.ResourceClaimTracker
	innerCalls *innerCalls
	devices    *cluster.Devices
	writers    *writers
	lostWrites *lostWrites
}

// Get returns the claim. A gang member sees a claim with the devices that another member
// has reserved for it, and otherwise with the subrequests that the plan chose.
func (t *tracker) Get(namespace, name string) (*resourceapi.ResourceClaim, error) {
	claim, err := t.ResourceClaimTracker.Get(namespace, name)
	on := t.innerCalls.current()
	if err == nil && on.freed.Has(claim.UID) && names(on.pod, claim) {
		return t.narrow(on, cluster.Unused(claim)), nil
	}
	if err != nil || on.gang == "" || claim.Status.Allocation != nil {
		return claim, err
	}
	// Only a claim of the call's pod is replaced: event handlers read claims during the
	// call, too, and get the real ones.
	if t.writers.of(claim.UID, on.gang) == nil || !names(on.pod, claim) {
		return t.narrow(on, claim), nil
	}
	pending := t.GetPendingAllocation(claim.UID)
	if pending == nil {
		// Read the claim again: it was written between the two reads, or the other member
		// gave the devices back.
		return t.ResourceClaimTracker.Get(namespace, name)
	}
	claim = claim.DeepCopy()
	claim.Status.Allocation = pending
	return t.innerCalls.noteShared(sharedClaim{ResourceClaim: claim, gang: on.gang}), nil
}

// names reports whether the pod has this claim.
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

// GatherAllocatedState returns the devices in use at the start of the current call's
// scheduling cycle. If Dovetail has planned a node for the pod, these are only the devices
// that this node can use. The result is not a copy, because the in-tree plugin's allocator
// only reads it. Outside a cycle the in-tree tracker answers.
func (t *tracker) GatherAllocatedState() (*structured.AllocatedState, error) {
	if taken := t.taken(); taken != nil {
		return taken, nil
	}
	return t.ResourceClaimTracker.GatherAllocatedState()
}

// ListAllAllocatedDevices returns the devices in use at the start of the current call's
// cycle, shared devices included. It is for allocators that do not support shared
// devices.
func (t *tracker) ListAllAllocatedDevices() (sets.Set[structured.DeviceID], error) {
	taken := t.taken()
	if taken == nil {
		return t.ResourceClaimTracker.ListAllAllocatedDevices()
	}
	all := taken.AllocatedDevices.Clone()
	for id := range taken.AllocatedSharedDeviceIDs {
		all.Insert(id.GetDeviceID())
	}
	return all, nil
}

// taken returns the devices in use that the pod of the current call sees, nil if these are those
// that the in-tree tracker shows.
func (t *tracker) taken() *structured.AllocatedState {
	switch on := t.innerCalls.current(); {
	case on.cycle != nil:
		return on.cycle.taken
	case on.freed != nil:
		return on.shown.Allocated()
	}
	return nil
}

// SignalClaimPendingAllocation also records the claim for the current call.
func (t *tracker) SignalClaimPendingAllocation(uid types.UID, claim *resourceapi.ResourceClaim) error {
	if err := t.reserve(uid, claim); err != nil {
		return err
	}
	t.innerCalls.noteReserved(uid, isExtended(claim))
	return nil
}

// reserve adds a share (a pod or lost write that needs the devices) to the claim's pending
// allocation, and notifies the counts of free devices. It may run beside a call of the in-tree
// plugin for another pod. The wrapped tracker gets a copy and shows it to other pods: the
// in-tree plugin later sets a time in the allocation.
func (t *tracker) reserve(uid types.UID, claim *resourceapi.ResourceClaim) error {
	if err := t.ResourceClaimTracker.SignalClaimPendingAllocation(uid, claim.DeepCopy()); err != nil {
		return err
	}
	t.devices.ClaimAssumed(claim)
	return nil
}

// GetPendingAllocation returns a copy: the in-tree plugin of a member that shares the claim
// may change it.
func (t *tracker) GetPendingAllocation(uid types.UID) *resourceapi.AllocationResult {
	if t.innerCalls.current().freed.Has(uid) {
		return nil
	}
	return t.ResourceClaimTracker.GetPendingAllocation(uid).DeepCopy()
}

// MaybeRemoveClaimPendingAllocation also notifies the counts of free devices. If it removes all
// shares (force), it tells lostWrites, whose lost writes may have had one.
func (t *tracker) MaybeRemoveClaimPendingAllocation(uid types.UID, force bool) bool {
	removed := t.ResourceClaimTracker.MaybeRemoveClaimPendingAllocation(uid, force)
	if force {
		t.lostWrites.removed(uid)
	}
	t.devices.ClaimReleased(uid)
	return removed
}

// AssumeClaimAfterAPICall also notifies the counts of free devices.
func (t *tracker) AssumeClaimAfterAPICall(claim *resourceapi.ResourceClaim) error {
	err := t.ResourceClaimTracker.AssumeClaimAfterAPICall(claim)
	t.devices.ClaimAssumed(claim)
	return err
}

// AssumedClaimRestore does nothing. What the wrapped tracker assumes comes from the API
// server, so it is right also if the pod then fails. The informer may be older: restoring
// its claim would give the devices of a claim that was just written to other pods.
func (t *tracker) AssumedClaimRestore(_, _ string) {}

// seen assumes a claim that the API server returned, unless the tracker has a newer one.
func (t *tracker) seen(claim *resourceapi.ResourceClaim) {
	known, err := t.ResourceClaimTracker.Get(claim.Namespace, claim.Name)
	if err != nil || versionOf(known) >= versionOf(claim) {
		return
	}
	if err := t.ResourceClaimTracker.AssumeClaimAfterAPICall(claim); err == nil {
		t.devices.ClaimAssumed(claim)
	}
}
