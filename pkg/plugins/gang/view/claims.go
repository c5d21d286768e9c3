// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/informers"
	resourcelisters "k8s.io/client-go/listers/resource/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
)

// claimIndex is the index of waiting pods by the ResourceClaims that they name or that were
// made for them, as namespace/name.
const claimIndex = "dovetail.dev/claims"

// claimKeys returns the index keys of a pod.
func claimKeys(obj any) ([]string, error) {
	pod, ok := obj.(*v1.Pod)
	if !ok || pod.Spec.NodeName != "" {
		return nil, nil
	}
	var keys []string
	for i := range pod.Spec.ResourceClaims {
		if name, _, err := resourceclaim.Name(pod, &pod.Spec.ResourceClaims[i]); err == nil && name != nil {
			keys = append(keys, pod.Namespace+"/"+*name)
		}
	}
	return keys, nil
}

// Claims reads the ResourceClaims of pods. Without an informer of claims it reports that no pod
// lacks one.
type Claims struct {
	// lister is nil if the scheduler has no informer of claims.
	lister   resourcelisters.ResourceClaimLister
	informer cache.SharedIndexInformer
}

// NewClaims returns a reader of the factory's claims. served is false if the scheduler does
// not allocate claims.
func NewClaims(factory informers.SharedInformerFactory, served bool) *Claims {
	if !served {
		return &Claims{}
	}
	claims := factory.Resource().V1().ResourceClaims()
	return &Claims{lister: claims.Lister(), informer: claims.Informer()}
}

// Lacks returns the reason why the ResourceClaims of a pod allow no scheduling cycle, as
// half a sentence, or "". The in-tree plugin DynamicResources keeps such a pod out of the
// queue or refuses it, though the pod's status names its claims. A claim that is still to
// be made is no reason: the pod's status shows that.
func (c *Claims) Lacks(pod *v1.Pod) string {
	if c.lister == nil {
		return ""
	}
	for i := range pod.Spec.ResourceClaims {
		name, mustOwn, err := resourceclaim.Name(pod, &pod.Spec.ResourceClaims[i])
		if err != nil || name == nil {
			continue
		}
		claim, err := c.lister.ResourceClaims(pod.Namespace).Get(*name)
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Sprintf("needs ResourceClaim %s, which does not exist", *name)
		case err != nil:
		case claim.DeletionTimestamp != nil:
			return fmt.Sprintf("needs ResourceClaim %s, which is being deleted", *name)
		case mustOwn && resourceclaim.IsForPod(pod, claim, true) != nil:
			return fmt.Sprintf("needs ResourceClaim %s, which was made for another pod", *name)
		}
	}
	return ""
}
