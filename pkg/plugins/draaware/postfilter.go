// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/claimwrites"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/writes"
)

// PostFilter gives back the claims of a refused member that only the member uses, as
// PodGroupPostFilter does for PodGroups. A binding that failed leaves such claims, and
// they tie the member to a node that may have no room any more. The in-tree plugin does
// so only if the cycle has seen a node that the claim excludes, and a member with a
// planned node sees only this node. For other pods PostFilter calls the in-tree plugin,
// which does not know a pod that was refused before its own PreFilter.
func (d *DRAAware) PostFilter(ctx context.Context, state fwk.CycleState, pod *v1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	if cluster.PlannedOf(state).Gang != "" && d.claims != nil {
		w := waiting{pods: cluster.ByName(pod), uids: sets.New(pod.UID)}
		if d.giveBack(ctx, &w) {
			return nil, fwk.NewStatus(fwk.Unschedulable, givenBack)
		}
	}
	ctx, attempt := claimwrites.Begin(ctx, 0)
	result, status := d.DynamicResources.PostFilter(ctx, state, pod, statuses)
	for _, lost := range attempt.Lost() {
		d.lostWrites.add(pod, lost, "")
	}
	return result, refusedBefore(status)
}

// givenBack is the message of a cycle that deallocated claims of the refused pods.
const givenBack = "devices from a former plan are given back"

// refusedBefore returns Unschedulable for the error of the in-tree plugin about pods that
// were refused before its PreFilter: its cycle state is missing then. With the error no
// later plugin could preempt. refusedBefore returns any other status as it is.
func refusedBefore(status *fwk.Status) *fwk.Status {
	if status.IsError() && errors.Is(status.AsError(), fwk.ErrNotFound) {
		return fwk.NewStatus(fwk.Unschedulable)
	}
	return status
}

// waiting has refused pods, and the UIDs of the pods and of their PodGroups: claims may be
// reserved for either.
type waiting struct {
	pods map[string]*v1.Pod
	uids sets.Set[types.UID]
}

// giveBack deallocates the claims of refused pods that only these pods and their PodGroups
// use. It deletes the claims that the in-tree plugin created for extended resources. It
// reports whether there were any. It gives nothing back if one of the pods is perhaps bound.
func (d *DRAAware) giveBack(ctx context.Context, w *waiting) (given bool) {
	idle := d.idleClaims(w)
	if !d.allWait(ctx, idle) {
		return false
	}
	tried := sets.New[types.UID]()
	for pod, claims := range idle {
		for _, claim := range claims {
			if tried.Has(claim.UID) {
				continue // the pods share the claim
			}
			tried.Insert(claim.UID)
			if err := d.release(ctx, pod, claim); err != nil {
				// The claim changed meanwhile, or the write failed: the next refusal tries
				// again. The claim tracker still shows the devices in use.
				d.logger.V(2).Info("Devices of a refused pod are not given back", "pod", klog.KObj(pod), "resourceclaim", klog.KObj(claim), "err", err)
				continue
			}
			given = true
			d.logger.V(2).Info("Devices of a refused pod given back", "pod", klog.KObj(pod), "resourceclaim", klog.KObj(claim))
		}
	}
	return given
}

// idleClaims returns, for each refused pod, its allocated claims that only the refused pods and
// their PodGroups use. It omits pods without such claims.
func (d *DRAAware) idleClaims(w *waiting) map[*v1.Pod][]*resourceapi.ResourceClaim {
	all := map[*v1.Pod][]*resourceapi.ResourceClaim{}
	for _, pod := range w.pods {
		for _, claim := range d.claimsOf(pod) {
			if w.idle(claim) {
				all[pod] = append(all[pod], claim)
			}
		}
	}
	return all
}

// maxPodLists is the maximum number of pods that allWait lists one by one.
const maxPodLists = 8

// allWait reports whether the API server shows each pod with idle claims without a node. The
// scheduler's caches do not show a binding whose answer was lost. Without an answer of the API
// server, allWait returns false.
//
// It lists pods, because the scheduler has no right to get one. For many pods it lists the
// bound pods of their namespace once: all pods of a PodGroup are in one namespace.
func (d *DRAAware) allWait(ctx context.Context, idle map[*v1.Pod][]*resourceapi.ResourceClaim) bool {
	var namespace string
	var names []string
	uids := sets.New[types.UID]()
	for pod := range idle {
		namespace, names = pod.Namespace, append(names, pod.Name)
		uids.Insert(pod.UID)
	}
	if len(names) == 0 {
		return true
	}
	selectors := []fields.Selector{fields.OneTermNotEqualSelector("spec.nodeName", "")}
	if len(names) <= maxPodLists {
		selectors = nil
		for _, name := range names {
			selectors = append(selectors, fields.OneTermEqualSelector(metav1.ObjectNameField, name))
		}
	}
	for _, selector := range selectors {
		list, err := d.real.ClientSet().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{FieldSelector: selector.String()})
		if err != nil {
			d.logger.V(2).Info("Devices of refused pods are not given back: their pods cannot be listed", "err", err)
			return false
		}
		for i := range list.Items {
			if now := &list.Items[i]; uids.Has(now.UID) && now.Spec.NodeName != "" {
				d.logger.V(2).Info("Devices of refused pods are not given back: one pod is bound", "pod", klog.KObj(now))
				return false
			}
		}
	}
	return true
}

// claimsOf returns the claims that a refused pod lists, and those for its extended resources.
func (d *DRAAware) claimsOf(pod *v1.Pod) []*resourceapi.ResourceClaim {
	claims := d.extendedClaims(pod)
	for name := range resourceclaim.PodClaims(pod) {
		if claim, err := d.claims.Get(pod.Namespace, name); err == nil && !isExtended(claim) {
			claims = append(claims, claim)
		}
	}
	return claims
}

// release frees the devices of the pod's claim.
func (d *DRAAware) release(ctx context.Context, pod *v1.Pod, claim *resourceapi.ResourceClaim) error {
	if isExtended(claim) {
		return d.remove(ctx, claim)
	}
	return d.free(ctx, pod, claim)
}

// idle reports whether the claim has devices that only these pods and their PodGroups use.
func (w *waiting) idle(claim *resourceapi.ResourceClaim) bool {
	if claim.Status.Allocation == nil || claim.DeletionTimestamp != nil {
		return false
	}
	for _, user := range claim.Status.ReservedFor {
		if !w.uids.Has(user.UID) {
			return false
		}
	}
	return true
}

// free clears the status of the pod's claim in the API server and in the claim tracker. It
// returns an error if the claim changed meanwhile. If only the answer is lost, the pod waits
// until the claim's state is known: it must not be bound with a claim that may lose its
// devices.
func (d *DRAAware) free(ctx context.Context, pod *v1.Pod, claim *resourceapi.ResourceClaim) error {
	claim = claim.DeepCopy()
	claim.Status = resourceapi.ResourceClaimStatus{}
	freed, err := d.real.ClientSet().ResourceV1().ResourceClaims(claim.Namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	if err != nil {
		if !writes.Refused(err) {
			d.lostWrites.add(pod, claimwrites.Lost{Sent: claim, At: time.Now()}, "")
		}
		return err
	}
	if err := d.tracker.AssumeClaimAfterAPICall(freed); err != nil {
		d.logger.V(4).Info("The informer was faster", "resourceclaim", klog.KObj(claim), "err", err)
	}
	return nil
}

// extendedClaims returns the claims for the extended resources of a pod without a node, as
// the claim tracker shows them. There is one at most, unless schedulers disagree.
func (d *DRAAware) extendedClaims(pod *v1.Pod) (claims []*resourceapi.ResourceClaim) {
	if pod.Spec.NodeName != "" {
		return nil // the claim is in use
	}
	objs, err := d.extended.ByIndex(extendedByPod, string(pod.UID))
	if err != nil {
		return nil // there is always such an index
	}
	for _, obj := range objs {
		published, ok := obj.(*resourceapi.ResourceClaim)
		if !ok || published.Namespace != pod.Namespace {
			continue
		}
		if claim, err := d.claims.Get(published.Namespace, published.Name); err == nil && claim.UID == published.UID {
			claims = append(claims, claim)
		}
	}
	return claims
}

// remove deletes the claim, without its finalizer, from the API server. It returns an error
// if the claim changed meanwhile. The claim tracker follows the informer. Whatever becomes of
// a request whose answer is lost, no pod gets the claim: the in-tree plugin uses none of an
// earlier cycle.
func (d *DRAAware) remove(ctx context.Context, claim *resourceapi.ResourceClaim) error {
	client := d.real.ClientSet().ResourceV1().ResourceClaims(claim.Namespace)
	if i := slices.Index(claim.Finalizers, resourceapi.Finalizer); i >= 0 {
		claim = claim.DeepCopy()
		claim.Finalizers = slices.Delete(claim.Finalizers, i, i+1)
		var err error
		if claim, err = client.Update(ctx, claim, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("removing its finalizer: %w", err)
		}
	}
	err := client.Delete(ctx, claim.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &claim.UID, ResourceVersion: &claim.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting it: %w", err)
	}
	return nil
}
