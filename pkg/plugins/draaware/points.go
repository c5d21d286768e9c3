// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	stockconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// New makes the plugin. The profile's counts of free devices follow the informers from then on.
// The in-tree DynamicResources plugin must be off in the same profile: both would add an index
// of the same name to the pod informer.
func New(ctx context.Context, obj runtime.Object, real fwk.Handle, profile *cluster.Profile) (fwk.Plugin, error) {
	args, err := config.DecodeDRAAwareArgs(obj)
	if err != nil {
		return nil, err
	}
	features := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
	d := &DRAAware{
		innerCalls: &innerCalls{}, writers: newWriters(), claimLocks: newClaimLocks(), profile: real.ProfileName(), events: real.EventRecorder(),
		logger: klog.FromContext(ctx).WithName(Name), podGroupCycle: features.EnableGenericWorkload, real: real,
		patience: defaultPatience, allocations: newAllocations(), view: profile,
	}
	d.pods = real.SharedInformerFactory().Core().V1().Pods().Informer().GetIndexer()
	seen := real
	if features.EnableDynamicResourceAllocation {
		d.claims = real.SharedDRAManager().ResourceClaims()
		var first bool
		if d.devices, first = profile.Devices(real.SharedDRAManager()); first {
			if err := follow(d.devices, real.SharedInformerFactory(), profile.CountsAllDevices); err != nil {
				return nil, fmt.Errorf("watching devices: %w", err)
			}
			metrics.CountEntries("devices", d.devicesEntries)
		}
		d.tracker = &tracker{ResourceClaimTracker: d.claims, innerCalls: d.innerCalls, devices: d.devices, writers: d.writers}
		d.lostWrites = newLostWrites(ctx, d)
		d.tracker.lostWrites = d.lostWrites
		informer := real.SharedInformerFactory().Resource().V1().ResourceClaims().Informer()
		if _, err := informer.AddEventHandler(d.allocations.follow()); err != nil {
			return nil, fmt.Errorf("watching the devices of claims: %w", err)
		}
		if d.extended, err = indexExtended(informer); err != nil {
			return nil, err
		}
		if err := indexPools(informer); err != nil {
			return nil, err
		}
		seen = newHandle(real, d.innerCalls, d.tracker)
	}
	inner, err := dynamicresources.New(ctx, stockArgs(args, features), seen, features)
	if err != nil {
		return nil, fmt.Errorf("making the DynamicResources plugin that %s stands for: %w", Name, err)
	}
	stock, ok := inner.(*dynamicresources.DynamicResources)
	if !ok {
		return nil, fmt.Errorf("the DynamicResources plugin is a %T, which %s cannot stand for", inner, Name)
	}
	d.DynamicResources = stock
	metrics.CountEntries(Name+" "+d.profile, func() metrics.Entries {
		return metrics.Entries{metrics.EntryClaimWriters: d.writers.len() + d.claimLocks.len()}
	})
	return d, nil
}

// devicesEntries returns the number of entries that the counts of free devices keep in memory,
// for a metric.
func (d *DRAAware) devicesEntries() metrics.Entries {
	queued, claims := d.devices.Pending()
	nodes, queries := d.devices.Inventory().Sizes()
	return metrics.Entries{
		metrics.EntryDeviceNodes: nodes, metrics.EntryDeviceQueries: queries,
		metrics.EntryClaims: claims, metrics.EntryQueuedChanges: queued,
	}
}

// stockArgs converts the arguments to the in-tree plugin's. It omits a timeout if its
// feature gate is off: the in-tree plugin would refuse it.
func stockArgs(args *config.DRAAwareArgs, features feature.Features) *stockconfig.DynamicResourcesArgs {
	stock := &stockconfig.DynamicResourcesArgs{}
	if features.EnableDRASchedulerFilterTimeout {
		stock.FilterTimeout = duration(args.FilterTimeout)
	}
	if features.EnableDRADeviceBindingConditions && features.EnableDRAResourceClaimDeviceStatus {
		stock.BindingTimeout = duration(args.BindingTimeout)
	}
	return stock
}

func duration(d time.Duration) *metav1.Duration {
	return &metav1.Duration{Duration: d}
}

// Name returns the plugin's name.
func (d *DRAAware) Name() string { return Name }

// PreFilter reads the pod's device request. It runs the in-tree plugin's PreFilter with copies
// of the ResourceSlices, in which Filter reorders the devices node by node. It refuses a pod
// with a claim whose state is unknown, because the answer to a write was lost.
func (d *DRAAware) PreFilter(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if refusal := d.lostWrites.refusal(pod); refusal != "" {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, refusal)
	}
	if err := d.count(pod); err != nil {
		return nil, fwk.AsStatus(err)
	}
	set, err := d.settingOf(pod, cluster.PlannedOf(state), d.view.GoneOf(state))
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	return d.prepare(ctx, state, pod, nodes, set)
}

// Filter refuses the node if the counts of free devices show a shortage. Otherwise the
// in-tree plugin allocates from the reordered devices. In a dry run that removes pods it first
// takes these pods' devices to be free.
func (d *DRAAware) Filter(ctx context.Context, state fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	if status := d.prepareAgain(ctx, state, pod, info); !status.IsSuccess() {
		return status
	}
	c := cycleOf(state)
	if c == nil {
		return d.DynamicResources.Filter(ctx, state, pod, info)
	}
	if refusal := c.inspectNode(info).refusal; refusal != "" {
		return fwk.NewStatus(fwk.Unschedulable, refusal)
	}
	return resolvable(d.DynamicResources.Filter(ctx, state, pod, info))
}

// resolvable returns the refusal of a node as one that removing pods from the node may end: their
// devices may be what the pod lacks. The in-tree plugin, which frees no devices, refuses for good.
func resolvable(status *fwk.Status) *fwk.Status {
	if status.Code() != fwk.UnschedulableAndUnresolvable {
		return status
	}
	return fwk.NewStatus(fwk.Unschedulable, status.Reasons()...)
}

// PreScore stores the cycle for Score. It skips scoring of pods without devices.
func (d *DRAAware) PreScore(_ context.Context, state fwk.CycleState, _ *v1.Pod, _ []fwk.NodeInfo) *fwk.Status {
	c := cycleOf(state)
	d.scoring.Store(c)
	if c == nil {
		return fwk.NewStatus(fwk.Skip)
	}
	return nil
}

// wishWeight ranks the order of a claim's firstAvailable alternatives above the alignment
// of GPUs with NICs.
const wishWeight = fwk.MaxScore + 1

// Score rates how close to each other the node's GPUs and NICs for the pod can be (their
// alignment). The in-tree plugin's score of alternatives comes first.
func (d *DRAAware) Score(ctx context.Context, state fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) (int64, *fwk.Status) {
	c := d.scoring.Load()
	if c == nil || c.pod != pod.UID {
		return d.DynamicResources.Score(ctx, state, pod, info)
	}
	var wish int64
	if c.need.Alternatives {
		var status *fwk.Status
		if wish, status = d.DynamicResources.Score(ctx, state, pod, info); !status.IsSuccess() {
			return 0, status
		}
	}
	if p := c.place(info.Node().Name); p != nil && c.mode != gangs.AlignmentNone {
		return wish*wishWeight + p.result.score, nil
	}
	return wish * wishWeight, nil
}

// Reserve has the in-tree plugin allocate devices to the pod's claims and then checks them. It
// fails if a device is in two of the claims, or if alignment is required and a NIC has no GPU
// of the pod close to it. It marks a pod whose devices must be attached to the node first as
// slow to bind.
func (d *DRAAware) Reserve(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	widen(state)
	var status *fwk.Status
	did := d.innerCalls.run(callContext{}, func() { status = d.DynamicResources.Reserve(ctx, state, pod, node) })
	if !status.IsSuccess() {
		return status
	}
	if did.extended != "" {
		state.Write(extendedKey, &extended{uid: did.extended})
	}
	shared := sharerOf(state)
	if err := shared.hold(d.tracker); err != nil {
		return fwk.AsStatus(err)
	}
	d.writers.begin(pod.UID, d.gangOf(state, pod), did.reserved)
	if d.attaches(did.reserved) || d.attaches(shared.uids()) {
		cluster.SetBindsSlowly(state)
	}
	if c := cycleOf(state); c != nil {
		return d.verifyAllocation(c, pod, node, did.reserved)
	}
	return nil
}

// SignPod excludes pods with the alignment annotation from opportunistic batching.
func (d *DRAAware) SignPod(ctx context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	if mode := pod.Annotations[gangs.AlignmentAnnotation]; mode != "" {
		return nil, fwk.NewStatus(fwk.Unschedulable, "device alignment is "+mode)
	}
	return d.DynamicResources.SignPod(ctx, pod)
}
