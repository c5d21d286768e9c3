// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// When a pod is gone, its claim keeps its devices for a moment, until a controller deallocates or
// deletes it. A pod that preempted and looks again in this moment must not evict another pod for
// the same devices. So a dry run that removes pods counts such devices as free.

// claimsByPool is the index of allocated claims in the informer, by driver and pool of their
// devices.
const claimsByPool = Name + "/by-pool"

// indexPools adds the index to the informer of claims. All profiles share it.
func indexPools(informer cache.SharedIndexInformer) error {
	if _, known := informer.GetIndexer().GetIndexers()[claimsByPool]; known {
		return nil
	}
	if err := informer.AddIndexers(cache.Indexers{claimsByPool: poolsOf}); err != nil {
		return fmt.Errorf("indexing claims by their devices: %w", err)
	}
	return nil
}

func poolKey(driver, pool string) string { return driver + "/" + pool }

// poolsOf returns the keys of the pools that a claim has devices of.
func poolsOf(obj any) ([]string, error) {
	claim, ok := obj.(*resourceapi.ResourceClaim)
	if !ok || claim.Status.Allocation == nil {
		return nil, nil
	}
	keys := sets.New[string]()
	for i := range claim.Status.Allocation.Devices.Results {
		result := &claim.Status.Allocation.Devices.Results[i]
		keys.Insert(poolKey(result.Driver, result.Pool))
	}
	return keys.UnsortedList(), nil
}

// idleOn returns the claims with devices of the node's own pools that lose them soon, because
// their users are gone.
func (d *DRAAware) idleOn(node string) []*resourceapi.ResourceClaim {
	own, _ := d.devices.Inventory().SlicesOn(node)
	pools := sets.New[string]()
	for _, slice := range own {
		pools.Insert(poolKey(slice.Spec.Driver, slice.Spec.Pool.Name))
	}
	var idle []*resourceapi.ResourceClaim
	for key := range pools {
		objs, err := d.extended.ByIndex(claimsByPool, key)
		if err != nil {
			return nil // there is always such an index
		}
		for _, obj := range objs {
			published, ok := obj.(*resourceapi.ResourceClaim)
			if !ok {
				continue
			}
			claim, err := d.claims.Get(published.Namespace, published.Name)
			if err == nil && claim.UID == published.UID && claim.Status.Allocation != nil && d.isIdle(claim) {
				idle = append(idle, claim)
			}
		}
	}
	return idle
}

// isIdle reports whether the pod of a claim that was made for one, or every pod in the claim's
// reservedFor, is gone. A claim that is reserved for nobody keeps its devices.
func (d *DRAAware) isIdle(claim *resourceapi.ResourceClaim) bool {
	if owner := metav1.GetControllerOfNoCopy(claim); owner != nil && owner.Kind == "Pod" {
		return !d.podExists(claim.Namespace, owner.Name, owner.UID)
	}
	for _, user := range claim.Status.ReservedFor {
		if user.Resource != "pods" || d.podExists(claim.Namespace, user.Name, user.UID) {
			return false
		}
	}
	return len(claim.Status.ReservedFor) > 0
}

// podExists reports whether the informer has the pod. It omits pods that have ended.
func (d *DRAAware) podExists(namespace, name string, uid types.UID) bool {
	obj, known, err := d.pods.GetByKey(namespace + "/" + name)
	if err != nil || !known {
		return false
	}
	pod, ok := obj.(*v1.Pod)
	return ok && pod.UID == uid
}

// EventsToRegister adds to the in-tree plugin's events that a pod stops using a shared claim:
// preemption of the claim's other users may free its devices then.
func (d *DRAAware) EventsToRegister(ctx context.Context) ([]fwk.ClusterEventWithHint, error) {
	events, err := d.DynamicResources.EventsToRegister(ctx)
	if err != nil || d.devices == nil {
		return events, err
	}
	return append(events, fwk.ClusterEventWithHint{
		Event: fwk.ClusterEvent{Resource: fwk.ResourceClaim, ActionType: fwk.Update}, QueueingHintFn: isSchedulableAfterUserLeft,
	}), nil
}

func isSchedulableAfterUserLeft(_ klog.Logger, pod *v1.Pod, before, after any) (fwk.QueueingHint, error) {
	old, ok := before.(*resourceapi.ResourceClaim)
	now, isClaim := after.(*resourceapi.ResourceClaim)
	if !ok || !isClaim || now.Status.Allocation == nil || len(now.Status.ReservedFor) >= len(old.Status.ReservedFor) || !cluster.RequestsDevices(pod) {
		return fwk.QueueSkip, nil
	}
	return fwk.Queue, nil
}
