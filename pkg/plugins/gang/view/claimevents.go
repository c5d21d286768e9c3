// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Follow calls changed for each waiting pod that may lack a ResourceClaim, or no longer
// does, when a claim is added, deleted or replaced. pods is the scheduler's pod informer.
// synced reports whether all existing claims were passed on.
func (c *Claims) Follow(pods cache.SharedIndexInformer, changed func(*v1.Pod)) (synced func() bool, err error) {
	if c.informer == nil {
		return func() bool { return true }, nil
	}
	if pods.GetIndexer().GetIndexers()[claimIndex] == nil {
		if err := pods.AddIndexers(cache.Indexers{claimIndex: claimKeys}); err != nil {
			return nil, fmt.Errorf("indexing pods by their ResourceClaims: %w", err)
		}
	}
	handlers, err := c.informer.AddEventHandler(claimEvents(pods.GetIndexer(), changed))
	if err != nil {
		return nil, fmt.Errorf("watching ResourceClaims: %w", err)
	}
	return handlers.HasSynced, nil
}

// claimEvents returns handlers that call changed for the pods of each claim that was added,
// deleted or replaced.
func claimEvents(pods cache.Indexer, changed func(*v1.Pod)) cache.ResourceEventHandler {
	ofPods := func(obj any) {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
		if err != nil {
			return
		}
		found, err := pods.ByIndex(claimIndex, key)
		if err != nil {
			klog.Background().Error(err, "Could not find the pods of a ResourceClaim", "claim", key)
			return
		}
		for _, obj := range found {
			if pod, ok := obj.(*v1.Pod); ok {
				changed(pod)
			}
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: ofPods,
		UpdateFunc: func(oldObj, obj any) {
			before, ok := oldObj.(*resourceapi.ResourceClaim)
			after, isClaim := obj.(*resourceapi.ResourceClaim)
			if !ok || !isClaim || before.UID != after.UID || (before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) {
				ofPods(obj)
			}
		},
		DeleteFunc: ofPods,
	}
}
