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

// Members of a gang wait for each other before any of them is bound. The API server gets a
// claim's allocation only just before a pod is bound. If members share a claim, the first
// member reserves its devices, and the others must proceed as if the claim were allocated.
// The in-tree plugin makes them wait for the allocation, which never comes
// (https://github.com/kubernetes/kubernetes/issues/137617).
//
// The first member is the claim's writer. The others are its sharers. They see the reserved
// devices, hold a share in the reservation, and write nothing before the writer has
// written.
//
// In a PodGroup cycle members reserve and unreserve several times, in the same order,
// before they are bound. Each time the claim has a new writer, so a sharer looks the writer
// up when needed.

// writer is a gang member that has reserved devices for claims and will write their
// allocations to the API server.
type writer struct {
	gang   string
	claims []types.UID
	// done is closed once the pod has written the allocations or will not write them.
	done chan struct{}
}

// writers has the writer of each claim that has one. It is safe for concurrent use.
type writers struct {
	mu      sync.Mutex
	byClaim map[types.UID]*writer
	byPod   map[types.UID]*writer
	// begun is closed when a pod becomes a writer. It is nil while no sharer waits for
	// that.
	begun chan struct{}
}

func newWriters() *writers {
	return &writers{byClaim: map[types.UID]*writer{}, byPod: map[types.UID]*writer{}}
}

// of returns the claim's writer, nil if there is none in the gang.
func (w *writers) of(claim types.UID, gang string) *writer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other := w.byClaim[claim]; other != nil && other.gang == gang {
		return other
	}
	return nil
}

// len returns the number of pods and claims with a writer.
func (w *writers) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.byClaim) + len(w.byPod)
}

// next returns a channel that is closed when the next pod becomes a writer.
func (w *writers) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun == nil {
		w.begun = make(chan struct{})
	}
	return w.begun
}

// begin makes the pod the writer of the claims for which it has reserved devices: the pod
// that will write their allocations. It ignores pods without a gang.
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

// end records that the pod writes no more allocations. Pods that wait for its writes then
// continue.
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

// gangOf returns the key of the pod's gang, "" if the pod is in none. A PodGroup of
// scheduling.k8s.io without a plan counts as a gang too.
func (d *DRAAware) gangOf(state fwk.CycleState, pod *v1.Pod) string {
	gang := cluster.PlannedOf(state).Gang
	if gang == "" && d.podGroupCycle && gangs.InPodGroup(pod) {
		return gangs.PodGroupKeyOf(pod).String()
	}
	return gang
}

// sharer is a pod with claims for which another member of its gang has reserved devices
// and not yet written the allocation.
type sharer struct {
	claims []sharedClaim
}

// sharedClaim is a claim as seen by a pod that shares it with other members of its gang.
// It is a copy that the in-tree plugin uses until the pod is bound.
type sharedClaim struct {
	*resourceapi.ResourceClaim
	gang string
	// held is set if the sharer has a share in the reservation. writer is the reservation's
	// writer at that time, nil if it had written already or did not exist yet.
	held   bool
	writer *writer
}

const sharerKey fwk.StateKey = Name + "/sharer"

// Clone returns s: the shared claims are the same in every clone.
func (s *sharer) Clone() fwk.StateData { return s }

// sharerOf returns the claims of the cycle's pod that it shares with other members of its
// gang; most pods have none.
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

// hold reserves the devices of each shared claim for this pod too (it takes a share in
// the reservation), unless the pod has done so before.
func (s *sharer) hold(tracker *tracker) error {
	for i := range s.claims {
		shared := &s.claims[i]
		if shared.held {
			continue
		}
		if err := tracker.reserve(shared.UID, shared.ResourceClaim); err != nil {
			return fmt.Errorf("sharing resource claim %s: %w", klog.KObj(shared), err)
		}
		shared.held = true
		shared.writer = tracker.writers.of(shared.UID, shared.gang)
	}
	return nil
}

// dropped records that the in-tree plugin gave back the sharer's shares in the
// reservations.
func (s *sharer) dropped() {
	for i := range s.claims {
		s.claims[i].held, s.claims[i].writer = false, nil
	}
}

// release removes the reservations of the sharer's claims, whose allocations are written
// now.
func (s *sharer) release(tracker *tracker) {
	for _, shared := range s.claims {
		tracker.MaybeRemoveClaimPendingAllocation(shared.UID, true)
	}
}

// wait returns once the allocation of each of the sharer's claims is written or will not
// be written.
func (s *sharer) wait(ctx context.Context, tracker *tracker) error {
	for i := range s.claims {
		shared := &s.claims[i]
		if err := shared.settle(ctx, tracker); err != nil {
			return fmt.Errorf("waiting for the devices of shared resource claim %s: %w", klog.KObj(shared), err)
		}
	}
	return nil
}

// writerPatience is the maximum time a pod waits for another member to become the writer
// of a shared claim, the pod that will write its allocation. The scheduler starts the
// bindings of a hierarchy's PodGroups in any order, one right after the other.
const writerPatience = 2 * time.Second

// settle returns once the API server has the claim's allocation or no pod will write it.
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

// meet updates the copies of the claims that the in-tree plugin uses, so that the plugin
// does not repeat reservations made meanwhile and does not write to an old resource
// version. It returns an error if a claim got other devices than reserved.
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

// sameDevices reports whether a claim got the reserved devices, for use on the same nodes.
// Of each device it compares only the driver, pool and name: the API server drops fields
// that it does not know.
func sameDevices(got, reserved *resourceapi.AllocationResult) bool {
	same := func(a, b resourceapi.DeviceRequestAllocationResult) bool {
		return a.Driver == b.Driver && a.Pool == b.Pool && a.Device == b.Device
	}
	return got != nil && reserved != nil &&
		slices.EqualFunc(got.Devices.Results, reserved.Devices.Results, same) &&
		apiequality.Semantic.DeepEqual(got.NodeSelector, reserved.NodeSelector)
}
