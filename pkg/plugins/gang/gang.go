// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"sync"
	"sync/atomic"
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
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/room"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/view"
)

// Name is the plugin's name in a profile.
const Name = "Gang"

// Shared has the informers and sources that the Gang plugins of all profiles share.
type Shared interface {
	// Sources returns the gang sources (ways to declare a gang) with these names. Their
	// objects are watched once per process.
	Sources(names []config.GangSource) gangs.Sources
	// Ended returns the informer of pods that succeeded or failed. The scheduler's own
	// informer omits them.
	Ended() cache.SharedIndexInformer
	// OnChange registers a function that is called when an object that declares a gang
	// changes.
	OnChange(func(gangs.Key))
	// KeepMisses registers a function that reports whether a gang has pods. Only for such gangs
	// is it remembered that the declaring object does not exist.
	KeepMisses(func(gangs.Key) bool)
	// Start starts the watches. A second call does nothing.
	Start(ctx context.Context) error
	// HasSynced reports whether all existing objects that declare gangs have been read.
	HasSynced() bool
}

// podGroups has the functions that the plugin calls in PodGroup cycles, in which the scheduler
// itself places a PodGroup of scheduling.k8s.io.
type podGroups interface {
	PreFilter(context.Context, fwk.CycleState, *v1.Pod, []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status)
	Reserve(fwk.CycleState, *v1.Pod)
	Unreserve(state fwk.CycleState, pod *v1.Pod, node string)
	BindFailed(fwk.CycleState, gangstate.FailedBinding)
	Permit(context.Context, fwk.CycleState, *v1.Pod, string) (*fwk.Status, time.Duration)
	Recover(context.Context, []fwk.NodeInfo)
}

// Gang is the plugin that places gangs.
type Gang struct {
	// Cycle has the extension points of PodGroup cycles. Cycle and podGroups are nil if the
	// feature gate GenericWorkload, which turns such cycles on, is off.
	*podgroup.Cycle
	podGroups podGroups

	handle  fwk.Handle
	args    *config.GangArgs
	sources gangs.Sources
	tracker *gangstate.Tracker
	placer  *placement.Placer
	report  *report.Reporter
	// room evicts pods of lower priority for gangs. background is the context of its requests:
	// it ends with the scheduler.
	room       *room.Maker
	background context.Context
	// ended is the informer of pods that succeeded or failed.
	ended cache.SharedIndexInformer
	// gated is set if the plugin GangGate, which only has the PreEnqueue extension point, runs
	// PreEnqueue instead of this plugin.
	gated bool
	// binder binds the members; bindings limits the number of concurrent bindings.
	binder   fwk.BindPlugin
	bindings *semaphore.Weighted
	nodes    corelisters.NodeLister
	pods     corelisters.PodLister
	claims   *view.Claims
	// dependent is set once the plugin has seen a pod with a constraint on other pods (affinity
	// or topology spread). Until then a pod that begins to run helps no waiting pod.
	dependent atomic.Bool
	// synced reports whether the tracker of the gangs' states knows all existing pods and
	// objects that declare gangs.
	synced func() bool
	// recovered limits recoverOnce to the profile's first cycle. recoverOnce plans the gangs
	// that a crash left partly bound.
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

// nodeExists reports whether the informer's store has the node. The store is newer than a
// cycle's snapshot.
func (g *Gang) nodeExists(name string) bool {
	_, err := g.nodes.Get(name)
	return err == nil
}

// Name returns the plugin's name.
func (g *Gang) Name() string { return Name }

// status returns what to report to users about a gang, from the tracker or from the
// PodGroup cycle.
func (g *Gang) status(ctx context.Context, key gangs.Key) report.Status {
	status := report.Status{Status: g.tracker.Status(key)}
	if status.Sentence == "" && g.Cycle != nil && key.Source == gangs.PodGroupSource {
		status = g.Cycle.Status(key)
	}
	g.nameMissing(ctx, key, &status)
	return status
}
