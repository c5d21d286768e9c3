// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	schedulinglisters "k8s.io/client-go/listers/scheduling/v1beta1"
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
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/room"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/view"
)

// Parts has the objects that Gang shares with other plugins and profiles.
type Parts struct {
	// Shared is common to all profiles.
	Shared Shared
	// Profile has the profile's view of the cluster.
	Profile *cluster.Profile
	// Gates connects Gang with the profile's GangGate, the plugin that can run PreEnqueue in
	// its place, if there is one.
	Gates *Gates
	// Filters names the Filter plugins of this project. The planner knows what they and the
	// stock filters refuse.
	Filters []string
	// Leads is closed when this replica leads. Before that it only follows the cluster: it
	// writes nothing. A nil channel means that it leads from the start.
	Leads <-chan struct{}
}

// New makes the plugin for one profile. It starts the watch on the objects that declare
// gangs, which belongs to the process and not to a scheduler's informer factory.
func New(ctx context.Context, obj runtime.Object, handle fwk.Handle, parts Parts) (fwk.Plugin, error) {
	args, err := config.DecodeGangArgs(obj)
	if err != nil {
		return nil, err
	}
	g := &Gang{
		handle:  handle,
		args:    args,
		sources: parts.Shared.Sources(args.Sources),
		placer: placement.New(handle, parts.Profile, placement.Options{
			SearchBudget: args.SearchBudget, MaxBypass: args.MaxBypass, Volumes: view.NewVolumes(handle.SharedInformerFactory()),
			Namespaces:     handle.SharedInformerFactory().Core().V1().Namespaces().Lister(),
			UnknownFilters: view.UnknownFilters(handle, parts.Filters),
		}),
		ended:  parts.Shared.Ended(),
		nodes:  handle.SharedInformerFactory().Core().V1().Nodes().Lister(),
		logger: klog.FromContext(ctx).WithName(Name),
	}
	pods := handle.SharedInformerFactory().Core().V1().Pods().Informer()
	g.claims = view.NewClaims(handle.SharedInformerFactory(), handle.SharedDRAManager() != nil)
	g.pods = handle.SharedInformerFactory().Core().V1().Pods().Lister()
	g.tracker = gangstate.New(gangstate.Options{
		Profile: handle.ProfileName(), Sources: g.sources, Exists: existsIn(pods.GetStore(), g.ended.GetStore()), NodeExists: g.nodeExists,
		Counted: countGangs(handle.ProfileName()), Lacks: g.claims.Lacks,
		HealAfter: args.HealAfter, MaxBypass: args.MaxBypass, MaxReplans: args.MaxReplans,
		Backfill: args.Reserve == config.ReserveBackfill,
		Preempts: args.Preemption == config.PreemptByPriority, PreemptAfter: args.PreemptAfter,
	})
	g.background = ctx
	g.room = room.New(room.Options{
		Handle: handle, Args: args, Reader: view.NewRunning(g.sources, podGroupLister(handle)), Tracker: g.tracker, Placer: g.placer, Apply: g.apply, Logger: g.logger,
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
	metrics.CountEntries(Name+" "+handle.ProfileName(), func() metrics.Entries { return g.entries(parts.Profile) })
	go g.report.Run(ctx)
	go g.lead(ctx, parts.Leads)
	return g, nil
}

// lead waits until this replica leads. Then it reports on every gang that waits: the former
// leader may have ended before it reported, and its reports may be outdated.
func (g *Gang) lead(ctx context.Context, leads <-chan struct{}) {
	if leads != nil {
		select {
		case <-leads:
		case <-ctx.Done():
			return
		}
	}
	g.report.Lead()
	metrics.Lead()
	pods, err := g.pods.List(labels.Everything())
	if err != nil {
		g.logger.Error(err, "Could not list the pods to report on")
	}
	for _, pod := range pods {
		g.reportWaiting(pod)
	}
	g.watchClock(ctx)
}

// reportWaiting reports on the gang of a pod that waits for this scheduler, and on mistakes in
// the pod's labels and annotations.
func (g *Gang) reportWaiting(pod *v1.Pod) {
	if pod.Spec.NodeName != "" || pod.Spec.SchedulerName != g.handle.ProfileName() {
		return
	}
	key, ok := g.sources.Key(pod)
	if !ok && gangs.InPodGroup(pod) {
		key, ok = gangs.PodGroupKeyOf(pod), true
	}
	if ok {
		g.report.Later(key)
	}
	g.report.Metadata(key, pod)
}

func (g *Gang) podGroupOptions() podgroup.Options {
	return podgroup.Options{
		Handle: g.handle, Tracker: g.tracker, Placer: g.placer, Ended: g.ended, Logger: g.logger, ReportDelay: g.args.ReportDelay, Preempts: g.args.Preemption == config.PreemptByPriority,
		Hierarchies: utilfeature.DefaultFeatureGate.Enabled(features.CompositePodGroup),
		Host: podgroup.Host{
			Recover: g.recoverGangs, Apply: g.apply, Search: g.room.Search, Report: g.report.Later, DropNominations: g.dropNominations,
		},
	}
}

// entries returns the number of entries that the plugin and the profile's view of the cluster
// keep in memory, for a metric.
func (g *Gang) entries(profile *cluster.Profile) metrics.Entries {
	sizes := g.tracker.Sizes()
	nodes, columns := profile.Sizes()
	entries := metrics.Entries{
		metrics.EntryGangs: sizes.Gangs, metrics.EntryMembers: sizes.Members, metrics.EntryPodGroups: sizes.PodGroups,
		metrics.EntryDisplacedPods: sizes.Displaced, metrics.EntryReportedGangs: g.report.Waiting(),
		metrics.EntryPlannerNodes: nodes, metrics.EntryPlannerColumns: columns,
	}
	if g.Cycle != nil {
		entries[metrics.EntryGatedPodGroups] = g.Cycle.Gate().Gated()
	}
	return entries
}

// recoverGangs runs before a PodGroup cycle plans its gang. It plans the gangs that are bound
// in part: after the start because of a crash, later because bindings failed.
func (g *Gang) recoverGangs(ctx context.Context, nodes []fwk.NodeInfo) {
	g.recoverOnce(ctx, nodes)
	g.planUnfinished(ctx, g.tracker.Unfinished(gangs.Key{}, time.Now()), nodes)
}

// podGroupLister returns the lister of the PodGroups that the scheduler's PodGroup cycles place,
// nil if there are no such cycles.
func podGroupLister(handle fwk.Handle) schedulinglisters.PodGroupLister {
	if !utilfeature.DefaultFeatureGate.Enabled(features.GenericWorkload) {
		return nil
	}
	return handle.SharedInformerFactory().Scheduling().V1beta1().PodGroups().Lister()
}

// countGangs returns a function that updates the metric of known gangs.
func countGangs(profile string) func(source string, change int) {
	return func(source string, change int) {
		if change > 0 {
			metrics.GangKnown(profile, source)
		} else {
			metrics.GangGone(profile, source)
		}
	}
}

// follow passes the events of pods, of their ResourceClaims, of namespaces and of objects that
// declare gangs to the tracker of the gangs' states.
func (g *Gang) follow(ctx context.Context, pods cache.SharedIndexInformer, shared Shared) error {
	handlers, err := pods.AddEventHandler(g.podEvents())
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	ended, err := g.ended.AddEventHandler(g.endedEvents())
	if err != nil {
		return fmt.Errorf("watching pods that have ended: %w", err)
	}
	claims, err := g.claims.Follow(pods, func(pod *v1.Pod) { g.apply(g.tracker.LacksChanged(pod, time.Now())) })
	if err != nil {
		return err
	}
	g.synced = func() bool { return handlers.HasSynced() && ended.HasSynced() && shared.HasSynced() && claims() }
	namespaces := g.handle.SharedInformerFactory().Core().V1().Namespaces().Informer()
	if _, err := namespaces.AddEventHandler(g.namespaceEvents()); err != nil {
		return fmt.Errorf("watching namespaces: %w", err)
	}
	shared.KeepMisses(g.tracker.Has)
	shared.OnChange(func(key gangs.Key) { g.apply(g.tracker.DeclarationChanged(key, time.Now())) })
	if err := shared.Start(ctx); err != nil {
		return fmt.Errorf("watching objects that declare gangs: %w", err)
	}
	return nil
}

// existsIn returns a function that reports whether the store of one of the informers has the
// pod with this UID.
func existsIn(stores ...cache.Store) func(*v1.Pod) bool {
	return func(pod *v1.Pod) bool {
		return slices.ContainsFunc(stores, func(store cache.Store) bool {
			obj, ok, err := store.GetByKey(pod.Namespace + "/" + pod.Name)
			if err != nil || !ok {
				return false
			}
			stored, ok := obj.(*v1.Pod)
			return ok && stored.UID == pod.UID
		})
	}
}
