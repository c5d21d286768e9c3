// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcelisters "k8s.io/client-go/listers/resource/v1"
	"k8s.io/client-go/tools/cache"
)

// A pod can have a cycle only if each claim that it names or that was made for it exists, is
// not being deleted, and is this pod's.
func TestLacks(t *testing.T) {
	const template, claimName = "template", "p-gpu-x"
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "p", UID: "uid-of-p"}}
	named, made := claimName, claimName
	fromTemplate := template
	owner := []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: new(true)}}
	claim := func(change func(*resourceapi.ResourceClaim)) *resourceapi.ResourceClaim {
		c := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: claimName, OwnerReferences: slices.Clone(owner)}}
		if change != nil {
			change(c)
		}
		return c
	}
	for name, tc := range map[string]struct {
		claim *resourceapi.ResourceClaim
		// named is set if the pod names the claim itself.
		named bool
		// unmade is set if the pod's status does not name a claim.
		unmade bool
		want   string
	}{
		"it exists":             {claim: claim(nil)},
		"the one named exists":  {claim: claim(nil), named: true},
		"it is gone":            {want: "needs ResourceClaim p-gpu-x, which does not exist"},
		"the one named is gone": {named: true, want: "needs ResourceClaim p-gpu-x, which does not exist"},
		"it is not made yet":    {unmade: true},
		"it is being deleted": {
			claim: claim(func(c *resourceapi.ResourceClaim) { c.DeletionTimestamp = new(metav1.Now()) }),
			want:  "needs ResourceClaim p-gpu-x, which is being deleted",
		},
		"it is another pod's": {
			claim: claim(func(c *resourceapi.ResourceClaim) { c.OwnerReferences[0].UID = "uid-of-another" }),
			want:  "needs ResourceClaim p-gpu-x, which was made for another pod",
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
			if tc.claim != nil {
				if err := store.Add(tc.claim); err != nil {
					t.Fatal(err)
				}
			}
			asks := pod.DeepCopy()
			switch {
			case tc.named:
				asks.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimName: &named}}
			case !tc.unmade:
				asks.Status.ResourceClaimStatuses = []v1.PodResourceClaimStatus{{Name: "gpu", ResourceClaimName: &made}}
				fallthrough
			default:
				asks.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: &fromTemplate}}
			}
			c := &Claims{lister: resourcelisters.NewResourceClaimLister(store)}
			if diff := cmp.Diff(tc.want, c.Lacks(asks)); diff != "" {
				t.Errorf("(-want,+got)\n%s", diff)
			}
			var want []string
			if !tc.unmade {
				want = []string{"ml/" + claimName}
			}
			keys, err := claimKeys(asks)
			if diff := cmp.Diff(want, keys); diff != "" || err != nil {
				t.Errorf("error %v, index keys (-want,+got)\n%s", err, diff)
			}
		})
	}
}
