// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
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

// Parts are what Gang has in common with other plugins.
type Parts struct {
	// Shared is one for all profiles.
	Shared Shared
	// Profile has the profile's view of the cluster.
	Profile *cluster.Profile
	// Gates are where GangGate is found, if the profile has it.
	Gates *Gates
}

// New makes the plugin for one profile. The watch on declaring objects belongs to the
// process and not to a scheduler's informer factory, so it starts here.
func New(ctx context.Context, obj runtime.Object, handle fwk.Handle, parts Parts) (fwk.Plugin, error) {
	args, err := config.DecodeGangArgs(obj)
	if err != nil {
		return nil, err
	}
	g := &Gang{
		handle:  handle,
		args:    args,
		sources: parts.Shared.Sources(args.Sources),
		placer:  placement.New(handle, parts.Profile, placement.Options{SearchBudget: args.SearchBudget, MaxBypass: args.MaxBypass}),
		ended:   parts.Shared.Ended(),
		nodes:   handle.SharedInformerFactory().Core().V1().Nodes().Lister(),
		logger:  klog.FromContext(ctx).WithName(Name),
	}
	pods := handle.SharedInformerFactory().Core().V1().Pods().Informer()
	g.tracker = gangstate.New(gangstate.Options{
		Profile: handle.ProfileName(), Sources: g.sources, Exists: existsIn(pods.GetStore()), NodeExists: g.nodeExists,
		Counted:   countGangs(handle.ProfileName()),
		HealAfter: args.HealAfter, MaxBypass: args.MaxBypass, MaxReplans: args.MaxReplans,
	})
	g.report = report.New(handle, args.ReportDelay, g.status)
	if utilfeature.DefaultFeatureGate.Enabled(features.GenericWorkload) {
		if g.Cycle, err = podgroup.New(ctx, g.podGroupOptions()); err != nil {
			return nil, err
		}
		g.podGroups = g.Cycle
	}
	if g.binder, err = newBinder(ctx, handle); err != nil {
		return nil, err
	}
	parts.Gates.enter(handle.ProfileName(), gateway{gang: g})
	if err := g.follow(ctx, pods, parts.Shared); err != nil {
		return nil, err
	}
	go g.report.Run(ctx)
	go g.watchClock(ctx)
	return g, nil
}

func (g *Gang) podGroupOptions() podgroup.Options {
	return podgroup.Options{
		Handle: g.handle, Tracker: g.tracker, Placer: g.placer, Ended: g.ended, Logger: g.logger, ReportDelay: g.args.ReportDelay,
		Hierarchies: utilfeature.DefaultFeatureGate.Enabled(features.CompositePodGroup),
		Host: podgroup.Host{
			Recover: g.recoverOnce, Apply: g.apply, Report: g.report.Later, DropNominations: g.dropNominations,
		},
	}
}

// countGangs keeps the metric of known gangs.
func countGangs(profile string) func(source string, change int) {
	return func(source string, change int) {
		if change > 0 {
			metrics.GangKnown(profile, source)
		} else {
			metrics.GangGone(profile, source)
		}
	}
}

// follow passes the events of pods and declarations to the tracker.
func (g *Gang) follow(ctx context.Context, pods cache.SharedIndexInformer, shared Shared) error {
	handlers, err := pods.AddEventHandler(g.podEvents())
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	ended, err := g.ended.AddEventHandler(g.endedEvents())
	if err != nil {
		return fmt.Errorf("watching pods that have ended: %w", err)
	}
	g.synced = func() bool { return handlers.HasSynced() && ended.HasSynced() && shared.HasSynced() }
	shared.OnChange(func(key gangs.Key) { g.apply(g.tracker.DeclarationChanged(key, time.Now())) })
	if err := shared.Start(ctx); err != nil {
		return fmt.Errorf("watching objects that declare gangs: %w", err)
	}
	return nil
}

// existsIn reports whether the informer's store has this very pod.
func existsIn(store cache.Store) func(*v1.Pod) bool {
	return func(pod *v1.Pod) bool {
		obj, ok, err := store.GetByKey(pod.Namespace + "/" + pod.Name)
		if err != nil || !ok {
			return false
		}
		stored, ok := obj.(*v1.Pod)
		return ok && stored.UID == pod.UID
	}
}

// nodeExists reports whether the informer's store, which is ahead of a cycle's snapshot, has
// the node.
func (g *Gang) nodeExists(name string) bool {
	_, err := g.nodes.Get(name)
	return err == nil
}

// Name returns the plugin's name.
func (g *Gang) Name() string { return Name }

// PreEnqueue keeps a pod out of the queue until its gang's quorum exists, unless the plugin
// GangGate does so.
func (g *Gang) PreEnqueue(_ context.Context, pod *v1.Pod) *fwk.Status {
	if g.gated {
		return nil
	}
	return g.admit(pod)
}

// status returns what there is to write about a gang, whichever cycle places it.
func (g *Gang) status(key gangs.Key) report.Status {
	status := report.Status{Status: g.tracker.Status(key)}
	if status.Sentence == "" && g.Cycle != nil && key.Source == gangs.PodGroupSource {
		return g.Cycle.Status(key)
	}
	return status
}
