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
	// Name is the name of the plugin that chooses a node for every pod.
	Name = "Oracle"
	// DevicesName is the name of the plugin that allocates devices on that node. It must run after the plugin Oracle.
	DevicesName = "OracleDevices"
)

// Registry returns the plugins Oracle and OracleDevices for one profile.
func Registry() frameworkruntime.Registry {
	// Both plugins share the view. It is created here because the framework creates the
	// plugins of a profile in an unspecified order.
	view := &deviceView{}
	return frameworkruntime.Registry{
		Name: func(_ context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return &oracle{picker: newNodePicker(handle, view)}, nil
		},
		DevicesName: func(ctx context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return newDevices(ctx, handle, view)
		},
	}
}

// oracle is the plugin that reduces the nodes to a single node for the scheduler to
// evaluate.
type oracle struct {
	picker *nodePicker
}

var (
	_ fwk.PreFilterPlugin         = (*oracle)(nil)
	_ fwk.PlacementGeneratePlugin = (*oracle)(nil)
)

func (*oracle) Name() string { return Name }

// GeneratePlacements returns the chosen domain of the gang.
func (o *oracle) GeneratePlacements(_ context.Context, _ fwk.PodGroupCycleState, group fwk.PodGroupInfo, parent *fwk.Placement) (*fwk.GeneratePlacementsResult, *fwk.Status) {
	constraints := group.GetPodGroup().Spec.SchedulingConstraints
	if constraints == nil || len(constraints.Topology) == 0 {
		return &fwk.GeneratePlacementsResult{Placements: []*fwk.Placement{parent}}, nil
	}
	pods := group.GetUnscheduledPods()
	domain, err := o.picker.domainFor(gang{group.GetNamespace(), group.GetName()}, constraints.Topology[0].Key, pods[0], len(pods))
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	if domain == nil {
		return nil, fwk.NewStatus(fwk.Unschedulable, "no domain has room for the gang")
	}
	infos, err := o.picker.infos(domain)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	return &fwk.GeneratePlacementsResult{Placements: []*fwk.Placement{{Name: domain.domain, Nodes: infos}}}, nil
}

// PreFilter returns the chosen node of the pod.
func (o *oracle) PreFilter(_ context.Context, _ fwk.CycleState, pod *v1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	node, err := o.picker.nodeFor(pod)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	if node == "" {
		return nil, fwk.NewStatus(fwk.Unschedulable, "no node has room for the pod")
	}
	return &fwk.PreFilterResult{NodeNames: sets.New(node)}, nil
}

func (*oracle) PreFilterExtensions() fwk.PreFilterExtensions { return nil }
