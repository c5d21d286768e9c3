// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"fmt"

	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// The in-tree plugin creates a claim for a pod whose extended resources are devices. If the
// binding fails and the claim stays, the in-tree plugin deletes it in its next PostFilter, but
// only for a pod that reached its PreFilter. A gang member that is refused because the gang has
// no plan does not reach it, so DRAAware deletes the claim.

// extendedByPod is the index of those claims in the informer, by the UID of the pod. The
// pod's status has the claim's name only if the binding came that far.
const extendedByPod = Name + "/extended-by-pod"

// indexExtended adds the index to the informer of claims. All profiles share it.
func indexExtended(informer cache.SharedIndexInformer) (cache.Indexer, error) {
	if _, known := informer.GetIndexer().GetIndexers()[extendedByPod]; known {
		return informer.GetIndexer(), nil
	}
	if err := informer.AddIndexers(cache.Indexers{extendedByPod: podOfExtended}); err != nil {
		return nil, fmt.Errorf("indexing the claims for extended resources: %w", err)
	}
	return informer.GetIndexer(), nil
}

// isExtended reports whether the in-tree plugin created the claim for extended resources.
func isExtended(claim *resourceapi.ResourceClaim) bool {
	return claim.Annotations[resourceapi.ExtendedResourceClaimAnnotation] == "true"
}

// podOfExtended returns the UID of the pod for whose extended resources the claim is.
func podOfExtended(obj any) ([]string, error) {
	claim, ok := obj.(*resourceapi.ResourceClaim)
	if !ok || !isExtended(claim) {
		return nil, nil
	}
	owner := metav1.GetControllerOfNoCopy(claim)
	if owner == nil || owner.Kind != "Pod" {
		return nil, nil
	}
	return []string{string(owner.UID)}, nil
}
