// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
)

// Kinds returns all kinds of objects from which pkg/gangs reads gangs.
func Kinds() []Kind {
	return []Kind{PodGroup, CoschedulingGroup, VolcanoPodGroup, LeaderWorkerSet, RayCluster, RayJob, JobSet, Job}
}

// New returns a Watcher of the given kinds, or of all kinds if none is given. It sends no
// request before Start. It returns an error if a client cannot be made from cfg, or if the
// informer of CustomResourceDefinitions refuses the transform function.
func New(cfg *rest.Config, kinds ...Kind) (*Watcher, error) {
	dyn, err := dynamic.NewForConfig(dynamic.ConfigFor(cfg))
	if err != nil {
		return nil, fmt.Errorf("making the client for workload objects: %w", err)
	}
	meta, err := metadata.NewForConfig(metadata.ConfigFor(cfg))
	if err != nil {
		return nil, fmt.Errorf("making the client for CustomResourceDefinitions: %w", err)
	}
	return NewWithClients(dyn, meta, kinds...)
}

// NewWithClients is like New, with existing clients.
func NewWithClients(dyn dynamic.Interface, meta metadata.Interface, kinds ...Kind) (*Watcher, error) {
	if len(kinds) == 0 {
		kinds = Kinds()
	}
	w := &Watcher{
		dynamic:     dyn,
		byName:      make(map[string]*kindWatch, len(kinds)),
		started:     make(chan struct{}),
		definitions: metadatainformer.NewFilteredMetadataInformer(meta, definitions, metav1.NamespaceAll, 0, nil, nil).Informer(),
	}
	for _, kind := range kinds {
		kw := &kindWatch{kind: kind, watcher: w}
		w.byName[kind.definition()] = kw
		w.watches = append(w.watches, kw)
	}
	if err := w.definitions.SetTransform(trimDefinition); err != nil {
		return nil, fmt.Errorf("setting up the watch of CustomResourceDefinitions: %w", err)
	}
	return w, nil
}
