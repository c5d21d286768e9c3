// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	v1 "k8s.io/api/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/placement"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/podgroup"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/report"
)

// Name is the plugin's name in a profile.
const Name = "Gang"

// Shared is what the Gang plugins of all profiles of a process use together.
type Shared interface {
	// Sources returns the gang sources with these names, reading objects that are watched
	// once for the process.
	Sources(names []config.GangSource) gangs.Sources
	// Ended is the informer of pods that succeeded or failed, which the scheduler's own
	// informer does not show.
	Ended() cache.SharedIndexInformer
	// OnChange registers a function to call when a declaration changed.
	OnChange(func(gangs.Key))
	// Start begins to watch; it does nothing the second time.
	Start(ctx context.Context) error
	// HasSynced reports that every declaration that exists has been read.
	HasSynced() bool
}

// podGroups is the part of the plugin that takes part in the scheduler's PodGroup cycles.
type podGroups interface {
	PreFilter(context.Context, fwk.CycleState, *v1.Pod, []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status)
	Reserve(fwk.CycleState, *v1.Pod)
	Permit(context.Context, fwk.CycleState, *v1.Pod, string) (*fwk.Status, time.Duration)
	Recover(context.Context, []fwk.NodeInfo)
}

// Gang places gangs.
type Gang struct {
	// Cycle has the extension points of PodGroup cycles; nil without the feature gate
	// GenericWorkload, as podGroups.
	*podgroup.Cycle
	podGroups podGroups

	handle  fwk.Handle
	args    *config.GangArgs
	sources gangs.Sources
	tracker *gangstate.Tracker
	placer  *placement.Placer
	report  *report.Reporter
	// ended is the informer of pods that succeeded or failed.
	ended cache.SharedIndexInformer
	// gated reports that the plugin GangGate keeps pods out of the queue, and not this one.
	gated bool
	// binder binds the members; bindings limits how many bind at once.
	binder   fwk.BindPlugin
	bindings *semaphore.Weighted
	nodes    corelisters.NodeLister
	pods     corelisters.PodLister
	// synced reports that the tracker knows all pods and declarations that exist.
	synced func() bool
	// recovered runs the recovery in the profile's first cycle.
	recovered sync.Once
	logger    klog.Logger
}

var (
	_ fwk.PreEnqueuePlugin         = (*Gang)(nil)
	_ fwk.QueueSortPlugin          = (*Gang)(nil)
	_ fwk.PreFilterPlugin          = (*Gang)(nil)
	_ fwk.FilterPlugin             = (*Gang)(nil)
	_ fwk.PostFilterPlugin         = (*Gang)(nil)
	_ fwk.ReservePlugin            = (*Gang)(nil)
	_ fwk.PermitPlugin             = (*Gang)(nil)
	_ fwk.BindPlugin               = (*Gang)(nil)
	_ fwk.EnqueueExtensions        = (*Gang)(nil)
	_ fwk.SignPlugin               = (*Gang)(nil)
	_ fwk.PlacementGeneratePlugin  = (*Gang)(nil)
	_ fwk.PodGroupPostFilterPlugin = (*Gang)(nil)
)

// nodeExists reports whether the informer's store, which is ahead of a cycle's snapshot, has
// the node.
func (g *Gang) nodeExists(name string) bool {
	_, err := g.nodes.Get(name)
	return err == nil
}

// Name returns the plugin's name.
func (g *Gang) Name() string { return Name }

// status returns what there is to write about a gang, whichever cycle places it.
func (g *Gang) status(key gangs.Key) report.Status {
	status := report.Status{Status: g.tracker.Status(key)}
	if status.Sentence == "" && g.Cycle != nil && key.Source == gangs.PodGroupSource {
		return g.Cycle.Status(key)
	}
	return status
}
