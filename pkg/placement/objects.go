// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Namespaces lists namespaces by their labels, as a lister of an informer does.
type Namespaces interface {
	List(selector labels.Selector) ([]*v1.Namespace, error)
}

// objects reads the objects of the API server that members name or select. A nil field leaves
// it to the stock filters to look at such objects.
type objects struct {
	volumes    Volumes
	namespaces Namespaces
}
