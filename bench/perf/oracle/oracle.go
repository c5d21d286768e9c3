// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
)

const (
	// Name is that of the plugin that knows a node for every pod.
	Name = "Oracle"
	// DevicesName is that of the plugin that allocates devices on that node. It comes after the other.
	DevicesName = "OracleDevices"
)

// Registry makes both plugins, for one profile.
func Registry() frameworkruntime.Registry {
	// The framework makes the plugins of a profile in no stated order.
	seen := &sight{}
	return frameworkruntime.Registry{
		Name: func(_ context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return &oracle{seer: newSeer(handle, seen)}, nil
		},
		DevicesName: func(ctx context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return newDevices(ctx, handle, seen)
		},
	}
}

// oracle leaves one node for the scheduler to look at.
type oracle struct {
	seer *seer
}

var (
	_ fwk.PreFilterPlugin         = (*oracle)(nil)
	_ fwk.PlacementGeneratePlugin = (*oracle)(nil)
)

func (*oracle) Name() string { return Name }

// GeneratePlacements returns the one domain that the gang goes to.
func (o *oracle) GeneratePlacements(_ context.Context, _ fwk.PodGroupCycleState, group fwk.PodGroupInfo, parent *fwk.Placement) (*fwk.GeneratePlacementsResult, *fwk.Status) {
	constraints := group.GetPodGroup().Spec.SchedulingConstraints
	if constraints == nil || len(constraints.Topology) == 0 {
		return &fwk.GeneratePlacementsResult{Placements: []*fwk.Placement{parent}}, nil
	}
	pods := group.GetUnscheduledPods()
	turn, err := o.seer.settle(gang{group.GetNamespace(), group.GetName()}, constraints.Topology[0].Key, pods[0], len(pods))
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	if turn == nil {
		return nil, fwk.NewStatus(fwk.Unschedulable, "no domain has room for the gang")
	}
	infos, err := o.seer.infos(turn)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	return &fwk.GeneratePlacementsResult{Placements: []*fwk.Placement{{Name: turn.domain, Nodes: infos}}}, nil
}

// PreFilter returns the one node that the pod goes to.
func (o *oracle) PreFilter(_ context.Context, _ fwk.CycleState, pod *v1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	node, err := o.seer.nodeFor(pod)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	if node == "" {
		return nil, fwk.NewStatus(fwk.Unschedulable, "no node has room for the pod")
	}
	return &fwk.PreFilterResult{NodeNames: sets.New(node)}, nil
}

func (*oracle) PreFilterExtensions() fwk.PreFilterExtensions { return nil }
