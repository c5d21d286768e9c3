// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// Members of a gang wait for each other before any of them is bound, and a claim
// gets its devices in the API server only when a pod is about to be bound. So if
// members share a claim, the first one reserves devices for it, and the others
// must go on as if it had them already; stock would have them wait until it has,
// which it never would (https://github.com/kubernetes/kubernetes/issues/137617).
// The first one is the claim's writer. The others, its sharers, are shown the
// reserved devices, hold a share in the reservation, and write nothing before the
// writer has written.

// writer is the pod that is going to write a claim's allocation.
type writer struct {
	pod  types.UID
	gang string
	// done is closed when the allocation is written or never will be by this pod.
	done chan struct{}
	// turn is held by the sharer that adds itself to the claim.
	turn sync.Mutex
}

// writers are those of all claims that have one. It is safe for concurrent use.
type writers struct {
	mu      sync.Mutex
	byClaim map[types.UID]*writer
}

func newWriters() *writers { return &writers{byClaim: map[types.UID]*writer{}} }

// of returns the claim's writer if it is in the gang, else nil.
func (w *writers) of(claim types.UID, gang string) *writer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.byClaim[claim]; one != nil && one.gang == gang {
		return one
	}
	return nil
}

// begin makes a gang's pod the writer of the claims that it reserved.
func (w *writers) begin(pod types.UID, gang string, claims []types.UID) {
	if gang == "" || len(claims) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	one := &writer{pod: pod, gang: gang, done: make(chan struct{})}
	for _, claim := range claims {
		w.byClaim[claim] = one
	}
}

// end tells the sharers that the pod writes nothing any more.
func (w *writers) end(pod types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ended *writer
	for claim, one := range w.byClaim {
		if one.pod == pod {
			ended = one
			delete(w.byClaim, claim)
		}
	}
	if ended != nil {
		close(ended.done)
	}
}

// sharer is a pod that shares claims which have no devices yet.
type sharer struct {
	claims []sharedClaim
}

// sharedClaim is a claim as the sharer was shown it.
type sharedClaim struct {
	*resourceapi.ResourceClaim
	writer *writer
	// held says that the sharer has a share in the reservation.
	held bool
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

// hold takes a share in the reservation of every claim where the sharer has none.
func (s *sharer) hold(tracker *tracker) error {
	for i := range s.claims {
		one := &s.claims[i]
		if one.held {
			continue
		}
		if err := tracker.SignalClaimPendingAllocation(one.UID, one.ResourceClaim); err != nil {
			return fmt.Errorf("sharing resource claim %s: %w", klog.KObj(one), err)
		}
		one.held = true
	}
	return nil
}

// release forgets the reservations of claims that have their devices now.
func (s *sharer) release(tracker *tracker) {
	for _, one := range s.claims {
		tracker.MaybeRemoveClaimPendingAllocation(one.UID, true)
	}
}

// wait returns when every claim has its devices in the API server.
func (s *sharer) wait(ctx context.Context, tracker *tracker) error {
	for _, one := range s.claims {
		select {
		case <-one.writer.done:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the devices of shared resource claim %s: %w", klog.KObj(one), ctx.Err())
		}
		claim, err := tracker.Get(one.Namespace, one.Name)
		if err != nil {
			return fmt.Errorf("reading shared resource claim %s: %w", klog.KObj(one), err)
		}
		if claim.UID != one.UID || claim.Status.Allocation == nil {
			return errors.New("resource claim " + klog.KObj(one).String() + " did not get the devices that another member of the gang had reserved for it")
		}
	}
	return nil
}

// inTurn runs a call while no other sharer of the claims does: each adds itself to
// the same list in the same object.
func (s *sharer) inTurn(call func()) {
	var turns []*writer
	for _, one := range s.claims {
		if !slices.Contains(turns, one.writer) {
			turns = append(turns, one.writer)
		}
	}
	slices.SortFunc(turns, func(a, b *writer) int { return strings.Compare(string(a.pod), string(b.pod)) })
	for _, one := range turns {
		one.turn.Lock()
		defer one.turn.Unlock()
	}
	call()
}

// Unreserve gives back what Reserve took. The in-tree plugin takes a share back
// for every claim of the pod, so the pod must have one in each.
func (d *DRAAware) Unreserve(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) {
	if err := sharerOf(state).hold(d.tracker); err != nil {
		d.logger.Error(err, "Could not balance shares before giving them back", "pod", klog.KObj(pod))
	}
	d.writers.end(pod.UID)
	d.DynamicResources.Unreserve(ctx, state, pod, node)
}

// PreBind writes the pod's devices into its claims; a sharer adds itself to
// claims of which another member wrote the devices.
func (d *DRAAware) PreBind(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	defer d.writers.end(pod.UID)
	s := sharerOf(state)
	if len(s.claims) == 0 {
		return d.DynamicResources.PreBind(ctx, state, pod, node)
	}
	if err := s.wait(ctx, d.tracker); err != nil {
		return fwk.AsStatus(err)
	}
	var status *fwk.Status
	s.inTurn(func() { status = d.DynamicResources.PreBind(ctx, state, pod, node) })
	if status.IsSuccess() {
		s.release(d.tracker)
	}
	return status
}
