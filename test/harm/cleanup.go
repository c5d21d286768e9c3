// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
)

// removed are the kinds of the attacker's objects, owners before what they own.
var removed = []schema.GroupVersionResource{
	{Group: "batch", Version: "v1", Resource: "jobs"},
	podGroups,
	{Version: "v1", Resource: "pods"},
	{Group: "resource.k8s.io", Version: "v1", Resource: "resourceclaims"},
	{Version: "v1", Resource: "persistentvolumeclaims"},
	{Version: "v1", Resource: "namespaces"},
}

// removal limits the time for the deletion of a measurement's objects.
const removal = 5 * time.Minute

// remove deletes namespaces and the objects in them, and waits until the pods are gone. The
// namespaces themselves end later.
func (r *rig) remove(ctx context.Context, namespaces ...string) error {
	ctx, cancel := context.WithTimeout(ctx, removal)
	defer cancel()
	for _, namespace := range namespaces {
		for _, resource := range removed {
			// The API server ends a request after a minute, with an error and a part of the work done.
			for err := r.removeAll(ctx, resource, namespace); err != nil; err = r.removeAll(ctx, resource, namespace) {
				if ctx.Err() != nil {
					return fmt.Errorf("deleting %s of namespace %s: %w", resource.Resource, namespace, err)
				}
				time.Sleep(time.Second)
			}
		}
	}
	for _, namespace := range namespaces {
		for {
			left, err := r.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{Limit: 1})
			if err != nil {
				return fmt.Errorf("waiting for the deletion of namespace %s: %w", namespace, err)
			}
			if len(left.Items) == 0 {
				break
			}
			time.Sleep(time.Second)
		}
	}
	return nil
}

func (r *rig) removeAll(ctx context.Context, resource schema.GroupVersionResource, namespace string) error {
	now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	if resource.Resource == "namespaces" {
		if err := r.dynamic.Resource(resource).Delete(ctx, namespace, now); !apierrors.IsNotFound(err) {
			return err
		}
		return nil
	}
	return r.dynamic.Resource(resource).Namespace(namespace).DeleteCollection(ctx, now, metav1.ListOptions{})
}
