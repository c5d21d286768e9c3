// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/claimwrites"
)

// Unreserve gives back the devices that Reserve took. Each pod that uses a claim has a share in
// the claim's pending allocation, which ends with the last share. The in-tree plugin gives back
// a share for each of the pod's claims, so Unreserve first takes the shares that the pod lacks.
func (d *DRAAware) Unreserve(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) {
	s := sharerOf(state)
	if err := s.hold(d.tracker); err != nil {
		d.logger.Error(err, "Could not balance shares before giving them back", "pod", klog.KObj(pod))
	}
	d.writers.end(pod.UID)
	d.DynamicResources.Unreserve(ctx, state, pod, node)
	s.dropped()
}

// PreBind writes the allocations of the pod's claims. For claims whose allocation another
// member of the gang writes, the pod waits and then adds itself to the claim's
// reservedFor, unless that member reserved the claim for the whole PodGroup. PreBind then
// refuses the pod if another claim has one of the pod's devices.
func (d *DRAAware) PreBind(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	defer d.writers.end(pod.UID)
	s := sharerOf(state)
	if len(s.claims) > 0 {
		if err := s.wait(ctx, d.tracker); err != nil {
			return fwk.AsStatus(err)
		}
		defer d.claimLocks.take(s.uids())()
		if err := s.meet(d.tracker); err != nil {
			return fwk.AsStatus(err)
		}
	}
	if status := d.writeClaims(ctx, state, pod, node); !status.IsSuccess() {
		return status
	}
	s.release(d.tracker)
	return d.refuseTwice(ctx, pod, node)
}

// writeClaims has the in-tree plugin write the pod's claims. If the answer to a write is lost,
// the claim's devices stay reserved: lostWrites, which keeps such claims, takes a further share
// of the reservation. Unreserve, which follows an error, gives back only the pod's share.
func (d *DRAAware) writeClaims(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	ctx, attempt := claimwrites.Begin(ctx, d.patience.binding)
	status := d.DynamicResources.PreBind(ctx, state, pod, node)
	for _, lost := range attempt.Lost() {
		d.lostWrites.add(pod, lost, pendingOf(state, lost.Sent))
	}
	return status
}

const extendedKey fwk.StateKey = Name + "/extended"

// extended has the UID under which the pod's devices for extended resources are pending:
// reserved in memory, and not written to the API server yet.
type extended struct{ uid types.UID }

// Clone returns e: it does not change.
func (e *extended) Clone() fwk.StateData { return e }

// pendingOf returns the UID under which the devices of one of the pod's claims are pending.
func pendingOf(state fwk.CycleState, claim *resourceapi.ResourceClaim) types.UID {
	if isExtended(claim) {
		if data, err := state.Read(extendedKey); err == nil {
			if e, ok := data.(*extended); ok {
				return e.uid
			}
		}
	}
	return claim.UID
}

func newLostWrites(ctx context.Context, d *DRAAware) *lostWrites {
	return &lostWrites{
		ctx: ctx, tracker: d.tracker, logger: d.logger, inFlight: d.patience.inFlight, byClaim: map[types.NamespacedName]*lostWrite{},
		read: func(ctx context.Context, namespace, name string) (*resourceapi.ResourceClaim, error) {
			return d.real.ClientSet().ResourceV1().ResourceClaims(namespace).Get(ctx, name, metav1.GetOptions{})
		},
		activate: func(pods map[string]*v1.Pod) { d.real.Activate(d.logger, pods) },
	}
}
