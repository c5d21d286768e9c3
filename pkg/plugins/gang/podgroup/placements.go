// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"context"
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// GeneratePlacements returns one placement, the planned nodes. There is no alternative, so
// no placement is scored.
func (c *Cycle) GeneratePlacements(ctx context.Context, state fwk.PodGroupCycleState, group fwk.PodGroupInfo, parent *fwk.Placement) (*fwk.GeneratePlacementsResult, *fwk.Status) {
	p := planOf(state)
	if p == nil {
		var err error
		if p, err = c.planGroup(ctx, group, parent.Nodes); err != nil {
			return nil, fwk.AsStatus(err)
		}
		state.Write(planKey, p)
	}
	if p.stock || len(podsBelow(group)) == 0 {
		// A group of a hierarchy whose members are all bound needs no nodes. Without a
		// placement the scheduler would refuse the group and with it the hierarchy.
		return &fwk.GeneratePlacementsResult{Placements: []*fwk.Placement{parent}}, nil
	}
	placement, err := c.placement(p, group)
	switch {
	case err != nil:
		return nil, fwk.AsStatus(err)
	case placement == nil:
		return nil, p.unplaced(group, len(parent.Nodes))
	}
	return &fwk.GeneratePlacementsResult{Placements: []*fwk.Placement{placement}}, nil
}

// placement returns the planned nodes of the group's members, nil if there are none.
func (c *Cycle) placement(p *cyclePlan, group fwk.PodGroupInfo) (*fwk.Placement, error) {
	var placement *fwk.Placement
	seen := sets.New[string]()
	for _, pod := range podsBelow(group) {
		node := p.assignment.Nodes[pod.UID]
		if node == "" || seen.Has(node) {
			continue
		}
		seen.Insert(node)
		info, err := c.Handle.SnapshotSharedLister().NodeInfos().Get(node)
		if err != nil {
			return nil, fmt.Errorf("planned node %s: %w", node, err)
		}
		if placement == nil {
			placement = &fwk.Placement{Name: placementName(p.assignment.Domain)}
		}
		placement.Nodes = append(placement.Nodes, info)
	}
	return placement, nil
}

// placementName returns the name of a placement in a domain, without slashes: Kubernetes 1.38
// refuses a placement that has one in its name.
func placementName(domain string) string { return strings.ReplaceAll(domain, "/", ".") }

// unplaced returns the status of a group without nodes. The error in it names the plugins
// whose events activate the group. Without the error the scheduler would treat and log
// the refusal as an internal error.
func (p *cyclePlan) unplaced(group fwk.PodGroupInfo, nodes int) *fwk.Status {
	p.fit = &framework.FitError{NumAllNodes: nodes, Diagnosis: framework.Diagnosis{
		NodeToStatus:         framework.NewDefaultNodeToStatus(),
		UnschedulablePlugins: sets.New(pluginName, names.GangScheduling),
		PreFilterMsg:         p.why(),
	}}
	if pods := podsBelow(group); len(pods) > 0 {
		p.fit.Pod = pods[0]
	}
	p.status = fwk.NewStatus(fwk.Unschedulable).WithError(p.fit) // the message is the error's text
	return p.status
}

// podsBelow returns the pods of the group and its subgroups for the cycle to place.
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
