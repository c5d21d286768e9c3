// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
)

// pollInterval is how often a definition's condition is looked at.
const pollInterval = 100 * time.Millisecond

var definitions = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// WaitEstablished waits until the API server serves every one of the custom resource definitions.
func (a *Applier) WaitEstablished(ctx context.Context, crds []*unstructured.Unstructured) error {
	for _, crd := range crds {
		err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
			current, err := a.client.Resource(definitions).Get(ctx, crd.GetName(), metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			return established(current), nil
		})
		if err != nil {
			return fmt.Errorf("waiting for the definition %s to be established: %w", crd.GetName(), err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mapper.Reset()
	return nil
}

func established(crd *unstructured.Unstructured) bool {
	entries, _, err := unstructured.NestedSlice(crd.Object, "status", "conditions")
	if err != nil {
		return false
	}
	var conditions []metav1.Condition
	for _, entry := range entries {
		if fields, ok := entry.(map[string]any); ok {
			kind, _, _ := unstructured.NestedString(fields, "type")
			status, _, _ := unstructured.NestedString(fields, "status")
			conditions = append(conditions, metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status)})
		}
	}
	return meta.IsStatusConditionTrue(conditions, "Established")
}
