// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"fmt"
	"sync"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	restclient "k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/features"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
)

// declarations are the objects that declare gangs, watched once for all
// profiles of a scheduler.
type declarations struct {
	*workloads.Watcher
	mu sync.Mutex
}

// open makes the watch if it is not there yet.
func (d *declarations) open(cfg *restclient.Config) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Watcher != nil {
		return nil
	}
	watcher, err := workloads.New(cfg)
	if err != nil {
		return fmt.Errorf("watching objects that declare gangs: %w", err)
	}
	d.Watcher = watcher
	return nil
}

// Sources returns the gang sources with these names, in the order in which
// pkg/gangs asks them. Pods of a scheduling.k8s.io PodGroup are left to the stock
// PodGroup cycle where this scheduler has it.
func (d *declarations) Sources(names []config.GangSource) gangs.Sources {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[string(name)] = true
	}
	if utilfeature.DefaultFeatureGate.Enabled(features.GenericWorkload) {
		delete(wanted, gangs.SchedulingGroupSource)
	}
	var sources gangs.Sources
	for _, source := range gangs.NewSources(d.Watcher) {
		if wanted[source.Name()] {
			sources = append(sources, source)
		}
	}
	return sources
}
