// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	corelisters "k8s.io/client-go/listers/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	stockconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	stock "k8s.io/kubernetes/pkg/scheduler/framework/preemption"
	"k8s.io/kubernetes/pkg/scheduler/metrics"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/evict"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Parts has what the plugin shares with the other plugins of its profile.
type Parts struct {
	// Profile has the profile's view of the cluster.
	Profile *cluster.Profile
	// Gangs returns the arguments of the profile's plugin Gang and its sources (readers of gang
	// declarations). It is called after all plugins are made.
	Gangs func() (*config.GangArgs, gangs.Sources)
}

// Preemption is the plugin. Embedding forwards what DefaultPreemption does as well: whether a pod
// may preempt, how many nodes to try, and keeping a pod out of the queue during its evictions.
type Preemption struct {
	*defaultpreemption.DefaultPreemption
	handle    fwk.Handle
	parts     Parts
	pods      corelisters.PodLister
	evictions *evictions
	unsettled *unsettled
	// podGroups is set if the scheduler places PodGroups of scheduling.k8s.io in cycles of
	// their own, composites if it does so with CompositePodGroups.
	podGroups, composites bool
	logger                klog.Logger
}

var (
	_ fwk.PreEnqueuePlugin         = (*Preemption)(nil)
	_ fwk.PostFilterPlugin         = (*Preemption)(nil)
	_ fwk.PodGroupPostFilterPlugin = (*Preemption)(nil)
	_ fwk.EnqueueExtensions        = (*Preemption)(nil)
)

// New makes the plugin. It takes no arguments.
func New(ctx context.Context, obj runtime.Object, handle fwk.Handle, parts Parts) (fwk.Plugin, error) {
	if obj != nil {
		if unknown, ok := obj.(*runtime.Unknown); !ok || len(unknown.Raw) > 0 {
			return nil, fmt.Errorf("plugin %s takes no arguments: set those of the plugin Gang", Name)
		}
	}
	features := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
	// The defaults of DefaultPreemptionArgs: defaulting does not reach a plugin that another
	// plugin makes.
	args := &stockconfig.DefaultPreemptionArgs{MinCandidateNodesPercentage: 10, MinCandidateNodesAbsolute: 100}
	inner, err := defaultpreemption.New(ctx, args, handle, features)
	if err != nil {
		return nil, fmt.Errorf("making the DefaultPreemption plugin that %s stands for: %w", Name, err)
	}
	p := &Preemption{
		DefaultPreemption: inner, handle: handle, parts: parts,
		pods:      handle.SharedInformerFactory().Core().V1().Pods().Lister(),
		podGroups: features.EnableGenericWorkload, composites: features.EnableCompositePodGroup,
		logger: klog.FromContext(ctx).WithName(Name),
	}
	p.evictions = newEvictions(handle, p.pods, p.logger)
	p.unsettled = newUnsettled(func(pod *v1.Pod) { handle.Activate(p.logger, cluster.ByName(pod)) })
	inner.Evaluator.Interface = nodeTrials{inner}
	return p, nil
}

// Name returns the plugin's name.
func (p *Preemption) Name() string { return Name }

// PreEnqueue keeps a pod out of the queue while its victims are being evicted.
func (p *Preemption) PreEnqueue(_ context.Context, pod *v1.Pod) *fwk.Status {
	if p.evictions.running(pod.UID) {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "waiting for the preemption for this pod to be finished")
	}
	return nil
}

// EventsToRegister returns the event that may let a pod into the queue again. The hint skips it:
// the plugins whose filters refused the pod say when it may fit.
func (p *Preemption) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return []fwk.ClusterEventWithHint{{
		Event:          fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete},
		QueueingHintFn: func(klog.Logger, *v1.Pod, any, any) (fwk.QueueingHint, error) { return fwk.QueueSkip, nil },
	}}, nil
}

// PostFilter chooses a node on which the pod fits without pods of lower priority, and begins their
// eviction. It first tries without evicting gangs.
func (p *Preemption) PostFilter(ctx context.Context, state fwk.CycleState, pod *v1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	reader, args := p.reader()
	if _, member := reader.Member(pod); member {
		return nil, fwk.NewStatus(fwk.Unschedulable) // pods are evicted only for the whole gang
	}
	metrics.PreemptionAttempts.Inc()
	pod, err := p.pods.Pods(pod.Namespace).Get(pod.Name)
	if err != nil {
		return nil, fwk.AsStatus(fmt.Errorf("reading the pod that may preempt: %w", err))
	}
	if eligible, why := p.PodEligibleToPreemptOthers(ctx, pod, statuses.Get(pod.Status.NominatedNodeName)); !eligible {
		return nil, fwk.NewStatus(fwk.Unschedulable, "preemption: "+why)
	}
	s, err := p.newSearch(pod, reader, args)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	best, refused, err := p.find(ctx, s, state, pod, statuses)
	switch {
	case err != nil:
		return nil, fwk.AsStatus(err)
	case s.freed != "":
		// The counts of devices may already show them free. Then no event follows.
		p.unsettled.tryAgain(pod)
		return framework.NewPostFilterResultWithNominatedNode(s.freed), fwk.NewStatus(fwk.Success, "preemption: devices of pods that have ended are being freed on node "+s.freed)
	case best == nil && s.units.Unsettled:
		// Pods that are being bound cannot be evicted yet. No event would return this pod to
		// the queue when they are bound.
		p.unsettled.tryAgain(pod)
		return nil, fwk.NewStatus(fwk.Unschedulable, "preemption: pods of lower priority are being bound")
	case best == nil:
		// The empty node clears the pod's nominatedNodeName.
		return framework.NewPostFilterResultWithNominatedNode(""), fwk.NewStatus(fwk.Unschedulable, "preemption: "+refused)
	}
	victims := s.victimsOn(best.Name())
	p.evictions.start(podPreemptor(pod), victims, s.prefer)
	return framework.NewPostFilterResultWithNominatedNode(best.Name()),
		fwk.NewStatus(fwk.Success, fmt.Sprintf("preemption: found a potential placement for pod on node %s, preempting %d victims", best.Name(), len(victims)))
}

// find returns the best node with its victims, nil if there is none. refused then says why.
func (p *Preemption) find(ctx context.Context, s *search, state fwk.CycleState, pod *v1.Pod, statuses fwk.NodeToStatusReader) (best stock.Candidate, refused string, err error) {
	all := p.handle.MutableSnapshotSharedLister().NodeInfos()
	nodes, err := statuses.NodesForStatusCode(all, fwk.Unschedulable)
	if err != nil {
		return nil, "", fmt.Errorf("listing the nodes on which preemption may help: %w", err)
	}
	total, err := all.List()
	if err != nil {
		return nil, "", fmt.Errorf("listing nodes: %w", err)
	}
	answers := framework.NewDefaultNodeToStatus()
	for _, s.breaking = range []bool{false, true} {
		if len(nodes) == 0 || s.breaking && (!s.mayBreak || s.units.Unsettled && p.unsettled.waits(pod)) {
			break
		}
		var candidates []stock.Candidate
		offset, count := p.GetOffsetAndNumCandidates(int32(len(nodes)))
		candidates, answers, err = p.Evaluator.DryRunPreemption(context.WithValue(ctx, searchKey{}, s), state, pod, nodes, nil, offset, count)
		if err != nil && len(candidates) == 0 {
			return nil, "", err
		}
		if s.freed != "" {
			break
		}
		if len(candidates) > 0 {
			return p.Evaluator.SelectCandidate(context.WithValue(ctx, searchKey{}, s), candidates), "", nil
		}
	}
	answers.SetAbsentNodesStatus(fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "Preemption is not helpful for scheduling"))
	fit := &framework.FitError{Pod: pod, NumAllNodes: len(total), Diagnosis: framework.Diagnosis{NodeToStatus: answers}}
	return nil, fit.Error(), nil
}

// newSearch reads which running pods may be evicted for the pod.
func (p *Preemption) newSearch(pod *v1.Pod, reader reader, args *config.GangArgs) (*search, error) {
	units, err := p.units(corev1helpers.PodPriority(pod), reader, args)
	if err != nil {
		return nil, err
	}
	return newSearch(p.handle, units, args.Budgets == config.BudgetsPrefer), nil
}

// units returns what may be evicted for a preemptor of this priority.
func (p *Preemption) units(priority int32, reader reader, args *config.GangArgs) (*evict.Units, error) {
	nodes, err := p.handle.MutableSnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	if !anyBelow(nodes, priority) {
		return &evict.Units{}, nil
	}
	budgets, err := p.budgets()
	if err != nil {
		return nil, err
	}
	rules := evict.Rules{
		Reader: reader, MinRuntime: args.MinRuntime, AllowNever: args.AllowNeverPreempt, PreferBudgets: args.Budgets == config.BudgetsPrefer,
		Bound: p.bound,
	}
	if args.Victims == config.VictimsOwn {
		rules.Profile = p.handle.ProfileName()
	}
	units := rules.Units(nodes, priority, gangs.Key{}, budgets, time.Now())
	return &units, nil
}

// anyBelow reports whether any pod has a lower priority or is being deleted.
func anyBelow(nodes []fwk.NodeInfo, priority int32) bool {
	for _, node := range nodes {
		for _, info := range node.GetPods() {
			if pod := info.GetPod(); corev1helpers.PodPriority(pod) < priority || pod.DeletionTimestamp != nil {
				return true
			}
		}
	}
	return false
}

func (p *Preemption) budgets() ([]*policyv1.PodDisruptionBudget, error) {
	if p.Evaluator.PdbLister == nil {
		return nil, nil
	}
	budgets, err := p.Evaluator.PdbLister.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing PodDisruptionBudgets: %w", err)
	}
	return budgets, nil
}

// bound reports whether the API server knows the pod's node.
func (p *Preemption) bound(pod *v1.Pod) bool {
	known, err := p.pods.Pods(pod.Namespace).Get(pod.Name)
	return err == nil && known.UID == pod.UID && known.Spec.NodeName != ""
}

// reader returns the reader of the gangs of running pods, and the arguments of the profile's
// plugin Gang.
func (p *Preemption) reader() (reader, *config.GangArgs) {
	args, sources := p.parts.Gangs()
	r := reader{Sources: sources}
	if p.podGroups {
		r.groups = p.handle.SnapshotSharedLister().PodGroups()
	}
	if p.composites {
		r.composites = p.handle.SnapshotSharedLister().CompositePodGroups()
	}
	return r, args
}
