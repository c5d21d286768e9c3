// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"context"
	"fmt"
	"sync"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/controllers"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
)

// declarations has the watches on objects that declare gangs (such as RayClusters and JobSets)
// and on pods that have ended, and the controllers that use these watches. All profiles of a
// scheduler share one value.
type declarations struct {
	*workloads.Watcher
	extras    *Extras
	ended     cache.SharedIndexInformer
	groups    *controllers.CoschedulingGroups
	podGroups func(context.Context) // nil unless Extras.MakePodGroups is set
	mu        sync.Mutex
	start     sync.Once
}

// open makes the watches and controllers at its first call. The controller of PodGroups of the
// scheduler-plugins project then serves the profile of the handle.
func (d *declarations) open(handle fwk.Handle) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Watcher == nil {
		if err := d.make(handle); err != nil {
			return err
		}
	}
	d.groups.Serve(handle.ProfileName())
	return nil
}

func (d *declarations) make(handle fwk.Handle) error {
	watcher, err := workloads.New(handle.KubeConfig())
	if err != nil {
		return fmt.Errorf("watching objects that declare gangs: %w", err)
	}
	ended, err := workloads.NewEndedPods(handle.ClientSet(), gangs.NewSources(watcher))
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(dynamic.ConfigFor(handle.KubeConfig()))
	if err != nil {
		return fmt.Errorf("making the client for objects that declare gangs: %w", err)
	}
	pods := handle.SharedInformerFactory().Core().V1().Pods().Informer()
	groups, err := controllers.NewCoschedulingGroups(client, watcher, pods, ended)
	if err != nil {
		return err
	}
	watcher.OnChange(groups.Changed)
	d.Watcher, d.ended, d.groups = watcher, ended, groups
	metrics.CountEntries("declarations", func() metrics.Entries {
		return metrics.Entries{metrics.EntryMissingObjects: watcher.Misses()}
	})
	if d.extras.MakePodGroups {
		d.makePodGroups(handle)
	}
	return nil
}

// makePodGroups prepares the controller that creates PodGroups of scheduling.k8s.io. With an
// election, only its winner runs the controller.
func (d *declarations) makePodGroups(handle fwk.Handle) {
	podGroups := controllers.NewPodGroups(handle.ClientSet().SchedulingV1beta1(), d.Watcher, handle.EventRecorder())
	d.OnChange(podGroups.Changed)
	d.KeepMisses(podGroups.Owns)
	metrics.CountEntries("podgroups", func() metrics.Entries {
		return metrics.Entries{metrics.EntryPodGroupOwners: podGroups.Known()}
	})
	d.podGroups = podGroups.Run
	election := d.extras.Election
	if election == nil {
		return
	}
	d.podGroups = func(ctx context.Context) {
		if err := election.Elected(ctx, handle.ClientSet(), podGroups.Run); err != nil {
			klog.FromContext(ctx).Error(err, "No PodGroups are made for RayClusters and JobSets")
		}
	}
}

// Ended returns the informer of pods that have ended.
func (d *declarations) Ended() cache.SharedIndexInformer { return d.ended }

// Start starts the watches and the controllers. A second call does nothing.
func (d *declarations) Start(ctx context.Context) error {
	d.start.Do(func() {
		go d.ended.RunWithContext(ctx)
		go d.runGroups(ctx)
		if d.podGroups != nil {
			go d.podGroups(ctx)
		}
	})
	return d.Watcher.Start(ctx)
}

// runGroups runs the controller of PodGroups of the scheduler-plugins project once this replica
// leads.
func (d *declarations) runGroups(ctx context.Context) {
	if d.extras.Leads != nil {
		select {
		case <-d.extras.Leads:
		case <-ctx.Done():
			return
		}
	}
	d.groups.Run(ctx)
}

// Sources returns the gang sources (readers of one way to declare a gang) with these names, in
// the order in which they are tried. If the scheduler schedules PodGroups of scheduling.k8s.io
// in cycles of its own, pods that name such a PodGroup are in no gang of these sources.
func (d *declarations) Sources(names []config.GangSource) gangs.Sources {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[string(name)] = true
	}
	var sources gangs.Sources
	if utilfeature.DefaultFeatureGate.Enabled(features.GenericWorkload) {
		delete(wanted, gangs.PodGroupSource)
		sources = append(sources, gangs.NewPodGroupCycleSource())
	}
	for _, source := range gangs.NewSources(d.Watcher) {
		if wanted[source.Name()] {
			sources = append(sources, source)
		}
	}
	return sources
}
