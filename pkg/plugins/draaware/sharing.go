// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Members of a gang wait for each other before any of them is bound, and a claim
// gets its devices in the API server only when a pod is about to be bound. So if
// members share a claim, the first one reserves devices for it, and the others
// must go on as if it had them already; stock would have them wait until it has,
// which it never would (https://github.com/kubernetes/kubernetes/issues/137617).
// The first one is the claim's writer. The others, its sharers, are shown the
// reserved devices, hold a share in the reservation, and write nothing before the
// writer has written.
//
// In a PodGroup cycle members reserve and give back several times, in the same
// order, before they are bound. A claim has a new writer each time, so a sharer
// looks for it when it needs it.

// writer is the pod that is going to write the allocations of claims.
type writer struct {
	gang   string
	claims []types.UID
	// done is closed when they are written or never will be by this pod.
	done chan struct{}
}

// writers are those of all claims that have one. It is safe for concurrent use.
type writers struct {
	mu      sync.Mutex
	byClaim map[types.UID]*writer
	byPod   map[types.UID]*writer
	// begun, if a sharer waits for it, is closed when a pod becomes a writer.
	begun chan struct{}
}

func newWriters() *writers {
	return &writers{byClaim: map[types.UID]*writer{}, byPod: map[types.UID]*writer{}}
}

// of returns the claim's writer if it is in the gang, else nil.
func (w *writers) of(claim types.UID, gang string) *writer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other := w.byClaim[claim]; other != nil && other.gang == gang {
		return other
	}
	return nil
}

// next returns what is closed when there is one more writer.
func (w *writers) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun == nil {
		w.begun = make(chan struct{})
	}
	return w.begun
}

// begin makes a gang's pod the writer of the claims that it reserved.
func (w *writers) begin(pod types.UID, gang string, claims []types.UID) {
	if gang == "" || len(claims) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	begun := &writer{gang: gang, claims: claims, done: make(chan struct{})}
	w.byPod[pod] = begun
	for _, claim := range claims {
		w.byClaim[claim] = begun
	}
	if w.begun != nil {
		close(w.begun)
		w.begun = nil
	}
}

// end lets the sharers go on: the pod writes nothing any more.
func (w *writers) end(pod types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.byPod[pod]
	if known == nil {
		return
	}
	delete(w.byPod, pod)
	for _, claim := range known.claims {
		if w.byClaim[claim] == known {
			delete(w.byClaim, claim)
		}
	}
	close(known.done)
}

// gangOf tells the pod's gang from all others, "" if it is in none. A PodGroup of
// scheduling.k8s.io for which nothing is planned is a gang to the pods that share.
func (d *DRAAware) gangOf(state fwk.CycleState, pod *v1.Pod) string {
	gang := cluster.PlannedOf(state).Gang
	if gang == "" && d.podGroupCycle && gangs.InPodGroup(pod) {
		return gangs.PodGroupKeyOf(pod).String()
	}
	return gang
}

// sharer is a pod that shares claims which have no devices yet.
type sharer struct {
	claims []sharedClaim
}

// sharedClaim is a claim as the sharer was shown it: a copy, which the in-tree
// plugin goes by until the pod is bound.
type sharedClaim struct {
	*resourceapi.ResourceClaim
	gang string
	// held reports that the sharer has a share in the reservation, and writer is whose it
	// was then; nil if that one had written already, or was yet to come.
	held   bool
	writer *writer
}

const sharerKey fwk.StateKey = Name + "/sharer"

// Clone returns s: a pod shares the same in every clone.
func (s *sharer) Clone() fwk.StateData { return s }

// sharerOf returns what the pod of the cycle shares; nothing for most pods.
func sharerOf(state fwk.CycleState) *sharer {
	if data, err := state.Read(sharerKey); err == nil {
		if s, ok := data.(*sharer); ok {
			return s
		}
	}
	return &sharer{}
}

func (s *sharer) uids() []types.UID {
	var uids []types.UID
	for _, shared := range s.claims {
		uids = append(uids, shared.UID)
	}
	return uids
}

// hold takes a share in the reservation of every claim where the sharer has none.
func (s *sharer) hold(tracker *tracker) error {
	for i := range s.claims {
		shared := &s.claims[i]
		if shared.held {
			continue
		}
		// The tracker may keep what it is given, and the copy is going to change.
		if err := tracker.SignalClaimPendingAllocation(shared.UID, shared.DeepCopy()); err != nil {
			return fmt.Errorf("sharing resource claim %s: %w", klog.KObj(shared), err)
		}
		shared.held = true
		shared.writer = tracker.writers.of(shared.UID, shared.gang)
	}
	return nil
}

// dropped effects that the in-tree plugin gave the shares back.
func (s *sharer) dropped() {
	for i := range s.claims {
		s.claims[i].held, s.claims[i].writer = false, nil
	}
}

// release forgets the reservations of claims that have their devices now.
func (s *sharer) release(tracker *tracker) {
	for _, shared := range s.claims {
		tracker.MaybeRemoveClaimPendingAllocation(shared.UID, true)
	}
}

// wait returns when no claim has a writer that is still to write.
func (s *sharer) wait(ctx context.Context, tracker *tracker) error {
	for i := range s.claims {
		shared := &s.claims[i]
		if err := shared.settle(ctx, tracker); err != nil {
			return fmt.Errorf("waiting for the devices of shared resource claim %s: %w", klog.KObj(shared), err)
		}
	}
	return nil
}

// writerPatience is how long a sharer waits for a writer that has not reserved its
// node for good yet. The PodGroups of a hierarchy are handed over to their bindings
// in any order, one right after the other.
const writerPatience = 2 * time.Second

// settle returns when the claim has its devices in the API server, or nobody is
// going to write them.
func (c *sharedClaim) settle(ctx context.Context, tracker *tracker) error {
	late := time.NewTimer(writerPatience)
	defer late.Stop()
	for c.writer == nil {
		begun := tracker.writers.next()
		if c.writer = tracker.writers.of(c.UID, c.gang); c.writer != nil {
			break
		}
		if now, err := tracker.ResourceClaimTracker.Get(c.Namespace, c.Name); err != nil || now.Status.Allocation != nil {
			return err
		}
		select {
		case <-begun:
		case <-late.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case <-c.writer.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// meet shows the in-tree plugin every claim as it is by now: who has reserved it
// since need not do so again, and nothing is written on top of an old version.
func (s *sharer) meet(tracker *tracker) error {
	for i := range s.claims {
		shared := &s.claims[i]
		now, err := tracker.ResourceClaimTracker.Get(shared.Namespace, shared.Name)
		if err != nil {
			return fmt.Errorf("reading shared resource claim %s: %w", klog.KObj(shared), err)
		}
		if now.UID != shared.UID || !sameDevices(now.Status.Allocation, shared.Status.Allocation) {
			return errors.New("resource claim " + klog.KObj(shared).String() + " did not get the devices that another member of the gang had reserved for it")
		}
		now.DeepCopyInto(shared.ResourceClaim)
	}
	return nil
}

// sameDevices reports whether a claim got what was reserved for it. The API server drops
// what it does not know of a result, but not which device it is.
func sameDevices(got, reserved *resourceapi.AllocationResult) bool {
	same := func(a, b resourceapi.DeviceRequestAllocationResult) bool {
		return a.Driver == b.Driver && a.Pool == b.Pool && a.Device == b.Device
	}
	return got != nil && reserved != nil &&
		slices.EqualFunc(got.Devices.Results, reserved.Devices.Results, same) &&
		apiequality.Semantic.DeepEqual(got.NodeSelector, reserved.NodeSelector)
}

// Unreserve gives back what Reserve took. The in-tree plugin takes a share back
// for every claim of the pod, so the pod must have one in each.
func (d *DRAAware) Unreserve(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) {
	s := sharerOf(state)
	if err := s.hold(d.tracker); err != nil {
		d.logger.Error(err, "Could not balance shares before giving them back", "pod", klog.KObj(pod))
	}
	d.writers.end(pod.UID)
	d.DynamicResources.Unreserve(ctx, state, pod, node)
	s.dropped()
}

// PreBind writes the pod's devices into its claims; a sharer adds itself to
// claims of which another member wrote the devices, unless that one reserved them
// for all members of the PodGroup.
func (d *DRAAware) PreBind(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	defer d.writers.end(pod.UID)
	s := sharerOf(state)
	if len(s.claims) == 0 {
		return d.DynamicResources.PreBind(ctx, state, pod, node)
	}
	if err := s.wait(ctx, d.tracker); err != nil {
		return fwk.AsStatus(err)
	}
	defer d.claimLocks.take(s.uids())()
	if err := s.meet(d.tracker); err != nil {
		return fwk.AsStatus(err)
	}
	status := d.DynamicResources.PreBind(ctx, state, pod, node)
	if status.IsSuccess() {
		s.release(d.tracker)
	}
	return status
}
