// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// item is one object in an informer's store: the metadata that the store needs, and either
// the trimmed object or the error of decoding it.
type item struct {
	metav1.ObjectMeta
	object    any
	malformed *gangs.MalformedError
}

// newItem makes an item of an object from the API server. Informers may pass an object
// through the transform function more than once, so newItem returns an object that is
// already an item unchanged.
func (k Kind) newItem(object any) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		if _, done := object.(*item); done {
			return object, nil
		}
		return nil, fmt.Errorf("watching %s: got a %T", k.Resource.GroupResource(), object)
	}
	it := &item{ObjectMeta: metav1.ObjectMeta{
		Namespace:       u.GetNamespace(),
		Name:            u.GetName(),
		UID:             u.GetUID(),
		ResourceVersion: u.GetResourceVersion(),
	}}
	trimmed, err := k.Trim(u)
	if err != nil {
		it.malformed = k.malformed(u, err)
		return it, nil
	}
	it.object = trimmed
	return it, nil
}

func (k Kind) malformed(u *unstructured.Unstructured, err error) *gangs.MalformedError {
	return &gangs.MalformedError{
		Key: k.Key(u.GetNamespace(), u.GetName()),
		Owner: corev1.ObjectReference{
			APIVersion: k.Resource.GroupVersion().String(),
			Kind:       k.Name,
			Namespace:  u.GetNamespace(),
			Name:       u.GetName(),
			UID:        u.GetUID(),
		},
		Created: u.GetCreationTimestamp().Time,
		Detail:  err.Error(),
	}
}

// declaresSame reports whether two versions of an object declare the same gang. A write to
// status usually changes nothing in the declaration.
func declaresSame(a, b *item) bool {
	return a.UID == b.UID &&
		equality.Semantic.DeepEqual(a.object, b.object) &&
		equality.Semantic.DeepEqual(a.malformed, b.malformed)
}
