// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
)

// pollInterval is the interval of discovery calls for a kind.
const pollInterval = 100 * time.Millisecond

// definition is the part of a custom resource definition that this package reads.
type definition struct {
	Spec struct {
		Group string `json:"group"`
		Names struct {
			Plural string `json:"plural"`
		} `json:"names"`
		Versions []struct {
			Name   string `json:"name"`
			Served bool   `json:"served"`
		} `json:"versions"`
	} `json:"spec"`
}

// WaitServed waits until all custom resource definitions are established. It uses
// discovery, because each of KubeRay's definitions has a megabyte, too much for polling.
func (a *Applier) WaitServed(ctx context.Context, crds []*unstructured.Unstructured) error {
	for _, crd := range crds {
		resources, err := resourcesOf(crd)
		if err != nil {
			return err
		}
		for _, resource := range resources {
			if err := a.waitServed(ctx, resource); err != nil {
				return fmt.Errorf("waiting for the definition %s to be established: %w", crd.GetName(), err)
			}
		}
	}
	return nil
}

func (a *Applier) waitServed(ctx context.Context, resource schema.GroupVersionResource) error {
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		offered, err := a.discovery.ServerResourcesForGroupVersion(resource.GroupVersion().String())
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return offers(offered, resource.Resource), nil
	})
}

func offers(list *metav1.APIResourceList, resource string) bool {
	for _, offered := range list.APIResources {
		if offered.Name == resource {
			return true
		}
	}
	return false
}

// resourcesOf returns the resources of a definition, one for each served version.
func resourcesOf(crd *unstructured.Unstructured) ([]schema.GroupVersionResource, error) {
	var found definition
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(crd.Object, &found); err != nil {
		return nil, fmt.Errorf("reading the definition %s: %w", crd.GetName(), err)
	}
	var resources []schema.GroupVersionResource
	for _, version := range found.Spec.Versions {
		if version.Served {
			resources = append(resources, schema.GroupVersionResource{
				Group: found.Spec.Group, Version: version.Name, Resource: found.Spec.Names.Plural,
			})
		}
	}
	return resources, nil
}
