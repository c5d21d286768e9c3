// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingapi "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"
)

// pageSize limits the number of objects in memory at a time, because the workload may have
// used most of the machine's memory.
const pageSize = 500

// Read adds all nodes, pods, PodGroups and claims of an API server. It skips kinds that the
// server does not serve.
func (a *Auditor) Read(ctx context.Context, client kubernetes.Interface) error {
	for kind, list := range map[string]pager.ListPageFunc{
		"nodes": func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.CoreV1().Nodes().List(ctx, o)
		},
		"pods": func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.CoreV1().Pods("").List(ctx, o)
		},
		"PodGroups": func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.SchedulingV1beta1().PodGroups("").List(ctx, o)
		},
		"claims": func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.ResourceV1().ResourceClaims("").List(ctx, o)
		},
	} {
		pages := pager.New(list)
		pages.PageSize = pageSize
		err := pages.EachListItem(ctx, metav1.ListOptions{}, a.add)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("reading %s: %w", kind, err)
		}
	}
	return nil
}

func (a *Auditor) add(object runtime.Object) error {
	switch o := object.(type) {
	case *v1.Node:
		a.Node(o)
	case *v1.Pod:
		a.Pod(o)
	case *schedulingapi.PodGroup:
		a.Group(o)
	case *resourceapi.ResourceClaim:
		a.Claim(o)
	default:
		return fmt.Errorf("unexpected object of type %T", object)
	}
	return nil
}
