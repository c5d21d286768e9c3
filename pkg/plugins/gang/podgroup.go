// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// The scheduler's own cycle for PodGroups of scheduling.k8s.io, where its feature
// gate GenericWorkload is on. The book knows nothing of these gangs: the cycle
// brings their members, places them one after the other on a snapshot of its own,
// and hands all over to their bindings or none. What is ours is the plan. It is
// made once in the cycle, for the PodGroup or for all PodGroups below one
// CompositePodGroup: in GeneratePlacements, or by the first member where the gate
// TopologyAwareWorkloadScheduling is off.

var (
	_ fwk.PlacementGeneratePlugin  = (*Gang)(nil)
	_ fwk.PodGroupPostFilterPlugin = (*Gang)(nil)
)

// GeneratePlacements returns one placement: the planned nodes. There is no second
// best to choose from, so no placement is scored.
func (g *Gang) GeneratePlacements(ctx context.Context, state fwk.PodGroupCycleState, group fwk.PodGroupInfo, parent *fwk.Placement) (*fwk.GeneratePlacementsResult, *fwk.Status) {
	p := groupPlanOf(state)
	if p == nil {
		var err error
		if p, err = g.planGroup(ctx, group, parent.Nodes); err != nil {
			return nil, fwk.AsStatus(err)
		}
		state.Write(groupPlanKey, p)
	}
	if p.stock {
		return &fwk.GeneratePlacementsResult{Placements: []*fwk.Placement{parent}}, nil
	}
	placement, err := g.placement(p, group)
	switch {
	case err != nil:
		return nil, fwk.AsStatus(err)
	case placement == nil:
		return nil, p.unplaced(group, len(parent.Nodes))
	}
	return &fwk.GeneratePlacementsResult{Placements: []*fwk.Placement{placement}}, nil
}

// placement is the nodes that the plan has for members of the group, nil if it has
// none.
func (g *Gang) placement(p *groupPlan, group fwk.PodGroupInfo) (*fwk.Placement, error) {
	var placement *fwk.Placement
	seen := sets.New[string]()
	for _, pod := range podsBelow(group) {
		node := p.nodes[pod.UID]
		if node == "" || seen.Has(node) {
			continue
		}
		seen.Insert(node)
		info, err := g.handle.SnapshotSharedLister().NodeInfos().Get(node)
		if err != nil {
			return nil, fmt.Errorf("planned node %s: %w", node, err)
		}
		if placement == nil {
			placement = &fwk.Placement{Name: p.where}
		}
		placement.Nodes = append(placement.Nodes, info)
	}
	return placement, nil
}

// unplaced is the status of a group without nodes. The error in it names the
// plugins whose events wake the group: without it the scheduler would take the
// refusal for a fault, and log it as one.
func (p *groupPlan) unplaced(group fwk.PodGroupInfo, nodes int) *fwk.Status {
	p.fit = &framework.FitError{NumAllNodes: nodes, Diagnosis: framework.Diagnosis{
		NodeToStatus:         framework.NewDefaultNodeToStatus(),
		UnschedulablePlugins: sets.New(Name, names.GangScheduling),
		PreFilterMsg:         p.why(),
	}}
	if pods := podsBelow(group); len(pods) > 0 {
		p.fit.Pod = pods[0]
	}
	p.status = fwk.NewStatus(fwk.Unschedulable).WithError(p.fit) // whose text is the message
	return p.status
}

// seat is the planned node of a pod in the PodGroup cycle.
type seat struct {
	node string
	plan *groupPlan
}

const seatKey fwk.StateKey = Name + "/seat"

// Clone returns s: it never changes.
func (s seat) Clone() fwk.StateData { return s }

func seatOf(state fwk.CycleState) (seat, bool) {
	data, err := state.Read(seatKey)
	if err != nil {
		return seat{}, false
	}
	s, ok := data.(seat)
	return s, ok
}

// pinned returns the only node that the pod of this cycle may have, "" if any.
func pinned(state fwk.CycleState) string {
	if s, ok := seatOf(state); ok {
		return s.node
	}
	if d := destinationOf(state); d != nil {
		return d.node
	}
	return ""
}

// preFilterInGroup returns the planned node of a pod in the PodGroup cycle.
func (g *Gang) preFilterInGroup(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	cycle := state.GetPodGroupSchedulingCycle()
	p := groupPlanOf(cycle)
	if p == nil {
		var err error
		if p, err = g.planGroupOf(ctx, pod, nodes); err != nil {
			return nil, fwk.AsStatus(err)
		}
		cycle.Write(groupPlanKey, p)
	}
	if p.stock {
		return stepAside(g.book.keptFromPod(pod), nodes)
	}
	node := p.nodes[pod.UID]
	if node == "" {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, p.why())
	}
	p.open(pod.UID)
	state.Write(seatKey, seat{node: node, plan: p})
	cluster.SetPlanned(state, p.instructions(pod.UID))
	g.yieldNominations(gangs.PodGroupKeyOf(pod), pod.UID, node)
	return &fwk.PreFilterResult{NodeNames: sets.New(node)}, nil
}

// boundInGroup notes that a member leaves the PodGroup cycle for its binding. From
// then on those who waited in front of the gang have been passed.
func (g *Gang) boundInGroup(state fwk.CycleState) {
	if s, ok := seatOf(state); ok && !s.plan.passed {
		s.plan.passed = true
		g.book.passNative(s.plan.request.stand, time.Now())
	}
}

// podsBelow returns the pods that the cycle is to place.
func podsBelow(group fwk.PodGroupInfo) []*v1.Pod {
	if group.GetCompositePodGroup() == nil {
		return group.GetUnscheduledPods()
	}
	var pods []*v1.Pod
	for _, child := range group.GetChildren() {
		pods = append(pods, podsBelow(child)...)
	}
	return pods
}
