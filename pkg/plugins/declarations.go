// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
)

// declarations are the objects that declare gangs, and the pods that have ended,
// watched once for all profiles of a scheduler.
type declarations struct {
	*workloads.Watcher
	ended cache.SharedIndexInformer
	mu    sync.Mutex
	start sync.Once
}

// open makes the watches if they are not there yet.
func (d *declarations) open(cfg *restclient.Config, client kubernetes.Interface) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Watcher != nil {
		return nil
	}
	watcher, err := workloads.New(cfg)
	if err != nil {
		return fmt.Errorf("watching objects that declare gangs: %w", err)
	}
	ended, err := workloads.NewEndedPods(client, gangs.NewSources(watcher, watcher))
	if err != nil {
		return err
	}
	d.Watcher, d.ended = watcher, ended
	return nil
}

// Ended returns the informer of pods that have ended.
func (d *declarations) Ended() cache.SharedIndexInformer { return d.ended }

// Start begins to watch; it does nothing the second time.
func (d *declarations) Start(ctx context.Context) error {
	d.start.Do(func() { go d.ended.RunWithContext(ctx) })
	return d.Watcher.Start(ctx)
}

// Sources returns the gang sources with these names, in the order in which
// pkg/gangs asks them.
func (d *declarations) Sources(names []config.GangSource) gangs.Sources {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[string(name)] = true
	}
	var sources gangs.Sources
	for _, source := range gangs.NewSources(d.Watcher, d.Watcher) {
		if wanted[source.Name()] {
			sources = append(sources, source)
		}
	}
	return sources
}
