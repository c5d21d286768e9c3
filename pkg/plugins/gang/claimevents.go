// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/client-go/tools/cache"
)

// followClaims passes changes of ResourceClaims to the tracker, for the pods that need
// them. synced reports whether all existing claims were passed on.
func (g *Gang) followClaims(pods cache.SharedIndexInformer) (synced func() bool, err error) {
	if g.claims == nil {
		return func() bool { return true }, nil
	}
	if pods.GetIndexer().GetIndexers()[claimIndex] == nil {
		if err := pods.AddIndexers(cache.Indexers{claimIndex: claimKeys}); err != nil {
			return nil, fmt.Errorf("indexing pods by their ResourceClaims: %w", err)
		}
	}
	claims := g.handle.SharedInformerFactory().Resource().V1().ResourceClaims().Informer()
	handlers, err := claims.AddEventHandler(g.claimEvents(pods.GetIndexer()))
	if err != nil {
		return nil, fmt.Errorf("watching ResourceClaims: %w", err)
	}
	return handlers.HasSynced, nil
}

// claimEvents tell the tracker which pods may lack a claim, or no longer do.
func (g *Gang) claimEvents(pods cache.Indexer) cache.ResourceEventHandler {
	changed := func(obj any) {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
		if err != nil {
			return
		}
		found, err := pods.ByIndex(claimIndex, key)
		if err != nil {
			g.logger.Error(err, "Could not find the pods of a ResourceClaim", "claim", key)
			return
		}
		for _, obj := range found {
			if pod, ok := obj.(*v1.Pod); ok {
				g.apply(g.tracker.LacksChanged(pod, time.Now()))
			}
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: changed,
		UpdateFunc: func(oldObj, obj any) {
			before, ok := oldObj.(*resourceapi.ResourceClaim)
			after, isClaim := obj.(*resourceapi.ResourceClaim)
			if !ok || !isClaim || before.UID != after.UID || (before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) {
				changed(obj)
			}
		},
		DeleteFunc: changed,
	}
}
