// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/plan"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// planner plans gangs on a simulated cluster as the scheduler does: pkg/cluster counts free
// resources, pkg/plan chooses the nodes, pkg/devices orders each node's devices.
type planner struct {
	cluster *simulatedCluster
	infos   []fwk.NodeInfo
	devices *cluster.Devices
	cache   *cluster.Cache
}

func newPlanner(c *simulatedCluster) (*planner, error) {
	p := &planner{cluster: c, infos: c.infos()}
	profile := &cluster.Profile{}
	profile.SetLevels([]cluster.Level{{Name: "spine", NodeLabel: fleet.LabelSpine}, {Name: "leaf", NodeLabel: fleet.LabelLeaf}})
	view := draView{c}
	p.devices, _ = profile.Devices(view)
	p.devices.Follow(view, func() bool { return true })
	c.claimChanged = func(claim *resourceapi.ResourceClaim, deleted bool) {
		if deleted {
			p.devices.ClaimDeleted(claim)
		} else {
			p.devices.ClaimAssumed(claim)
		}
	}
	var err error
	p.cache, err = profile.Cache()
	return p, err
}

// problem is a gang to plan and the snapshot for the plan.
type problem struct {
	snapshot *plan.Snapshot
	gang     plan.Gang
}

func (p problem) solve() plan.Decision { return plan.Plan(p.snapshot, p.gang, nil, plan.Options{}) }

// without returns the problem with some nodes excluded.
func (p problem) without(nodes map[string]bool) problem {
	limit := make(map[string]int, len(nodes))
	for name := range nodes {
		limit[name] = 0
	}
	return p.limited(limit)
}

// limited returns the problem with a limit on the number of members by node.
func (p problem) limited(limit map[string]int) problem {
	role := p.gang.Roles[0]
	role.Limit = limit
	p.gang.Roles = []plan.Role{role}
	return p
}

// problem reads the demand of a job and the free resources.
func (p *planner) problem(e *entry) (problem, error) {
	first := e.pods[0]
	if p.cluster.claims[first.claim.Name] == nil { // in the cluster without pods, for cheapestNodes
		p.cluster.create(first)
		defer p.cluster.remove(first)
	}
	needs, err := p.cache.Read([]*v1.Pod{first.object})
	if err != nil {
		return problem{}, fmt.Errorf("reading the demand of job %d: %w", e.id, err)
	}
	snapshot, err := p.cache.Refresh(p.infos, nil)
	if err != nil {
		return problem{}, fmt.Errorf("counting free resources: %w", err)
	}
	role := plan.Role{Name: "worker", Min: len(e.pods), Need: needs[0].Need, RDMA: needs[0].RDMA}
	for i, pod := range e.pods {
		role.Members = append(role.Members, plan.Member{Name: pod.object.Name, Rank: i})
	}
	return problem{snapshot, plan.Gang{Name: fmt.Sprintf("%s/job-%05d", namespace, e.id), Min: len(e.pods), Roles: []plan.Role{role}}}, nil
}

// choose returns the choice of a node for a pod. For the allocator, the devices are ordered to
// suit the pod, which prefers the alignment unit (a GPU and its NICs) with the index rail.
func (p *planner) choose(node string, rail int) nodeChoice {
	m := p.cluster.byName[node]
	return nodeChoice{machine: m, arrange: func(pod *pod) ([]*resourceapi.ResourceSlice, error) { return p.arrange(pod, m, rail) }}
}

// arrange returns the machine's slices with the devices in the order that DRAAware, Dovetail's
// plugin for devices, gives them.
func (p *planner) arrange(pod *pod, m *machine, rail int) ([]*resourceapi.ResourceSlice, error) {
	if err := p.devices.Sync(); err != nil {
		return nil, fmt.Errorf("counting devices: %w", err)
	}
	request, err := p.devices.Request(pod.object)
	if err != nil {
		return nil, fmt.Errorf("reading the demand of pod %s: %w", pod.object.Name, err)
	}
	found := p.devices.Inventory().Assess(m.node.Name, &request, rail, func(v1.ResourceName) bool { return false })
	if found.Order == nil {
		return nil, fmt.Errorf("pod %s on %s: no order of devices (%s)", pod.object.Name, m.node.Name, found.Shortage)
	}
	arranged := make([]*resourceapi.ResourceSlice, len(m.slices))
	for i, slice := range m.slices {
		arranged[i] = found.Order.Arrange(slice)
	}
	return arranged, nil
}

// cheapestNodes returns nodes on which the gang fits once all pods there have ended, or
// nil if there are none. It prefers placements that use few nodes with pods: it allows
// the nodes without pods and the 1, 2, 4, ... nodes with the fewest pods, until the gang
// fits. The planner's cluster must have the same nodes as busy, but no pods.
func (p *planner) cheapestNodes(e *entry, busy *simulatedCluster) (map[string]bool, error) {
	all, err := p.problem(e)
	if err != nil {
		return nil, err
	}
	decision := all.solve()
	if !decision.Placed {
		return nil, nil
	}
	byPods := busy.busyMachines()
	for k := 1; k < len(byPods); k *= 2 {
		others := map[string]bool{}
		for _, m := range byPods[k:] {
			others[m.node.Name] = true
		}
		if fewer := all.without(others).solve(); fewer.Placed {
			decision = fewer
			break
		}
	}
	return nodesOf(&decision), nil
}

// busyMachines returns the machines with pods. Machines with the fewest pods come first.
func (c *simulatedCluster) busyMachines() []*machine {
	var busy []*machine
	for _, m := range c.machines {
		if len(m.info.GetPods()) > 0 {
			busy = append(busy, m)
		}
	}
	slices.SortFunc(busy, func(a, b *machine) int {
		return cmp.Or(cmp.Compare(len(a.info.GetPods()), len(b.info.GetPods())), cmp.Compare(a.node.Name, b.node.Name))
	})
	return busy
}

func nodesOf(decision *plan.Decision) map[string]bool {
	nodes := map[string]bool{}
	for _, a := range decision.Assignments {
		nodes[a.Node] = true
	}
	return nodes
}

// usesAny reports whether the decision places a member on one of the nodes.
func usesAny(decision *plan.Decision, nodes map[string]bool) bool {
	return slices.ContainsFunc(decision.Assignments, func(a plan.Assignment) bool { return nodes[a.Node] })
}
