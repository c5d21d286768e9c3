// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"errors"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// maxSingleRefusals is how many nodes the filters may refuse for a pod without a gang
// that is planned as a gang of one. After that the ordinary scheduling cycle handles the
// pod. It runs the filters on all nodes at once.
const maxSingleRefusals = 8

// Plannable reports whether a pod without a gang may be planned as a gang of one. The
// filters enforce its requirements, but the planner ignores preferences. A pod with
// preferences, or with a nominated node, is therefore not plannable.
func Plannable(pod *v1.Pod) bool {
	if pod.Status.NominatedNodeName != "" {
		return false
	}
	for i := range pod.Spec.TopologySpreadConstraints {
		if pod.Spec.TopologySpreadConstraints[i].WhenUnsatisfiable == v1.ScheduleAnyway {
			return false
		}
	}
	affinity := pod.Spec.Affinity
	if affinity == nil {
		return true
	}
	return (affinity.NodeAffinity == nil || len(affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0) &&
		(affinity.PodAffinity == nil || len(affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0) &&
		(affinity.PodAntiAffinity == nil || len(affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0)
}

// PlaceSingle returns the node for a pod without a gang, planned as a gang of one: the
// node on which the pod breaks up the fewest free resources. It returns "" to leave the
// pod to the ordinary cycle: the pod needs no devices, its requests have alternatives
// (firstAvailable), or the plan found no node. Callers must check Plannable first.
// PlaceSingle does not use nodes reserved for a gang.
func (p *Placer) PlaceSingle(ctx context.Context, pod *v1.Pod, nodes []fwk.NodeInfo, reserved map[string]bool, holds []gangs.Hold) (string, error) {
	cache, err := p.profile.Cache()
	if err != nil {
		return "", err
	}
	needs, err := cache.Read([]*v1.Pod{pod})
	if err != nil || len(needs[0].Devices) == 0 || needs[0].FirstAvailable {
		return "", nil // the in-tree plugin reports a request that it cannot serve
	}
	snapshot, err := cache.Refresh(nodes, holds)
	if err != nil {
		return "", err
	}
	role := plan.Role{Name: "pod", Min: 1, Need: needs[0].Need, RDMA: needs[0].RDMA, Members: []plan.Member{{Name: pod.Name}}, Limit: map[string]int{}}
	for node := range reserved {
		role.Limit[node] = 0
	}
	gang := plan.Gang{Name: pod.Namespace + "/" + pod.Name, Min: 1, Roles: []plan.Role{role}}
	run := singleRun{ctx: ctx, handle: p.handle, pod: pod}
	decision := plan.Plan(snapshot, gang, run.fits, plan.Options{Budget: p.options.SearchBudget})
	if run.err != nil || !decision.Placed {
		return "", run.err
	}
	return decision.Assignments[0].Node, nil
}

// singleRun runs the filters for one pod without a gang on one node after the other. It
// runs the PreFilter plugins for each node alone, so the cost depends only on the number
// of tried nodes.
type singleRun struct {
	ctx     context.Context
	handle  fwk.Handle
	pod     *v1.Pod
	refused int
	err     error
	// time limits slow filters. Beyond the limit the ordinary cycle handles the pod.
	time filterTime
}

// fits reports whether the filters accept the pod on the node.
func (r *singleRun) fits(_ int, node string, _ int) bool {
	if r.err != nil || r.refused == maxSingleRefusals {
		return false
	}
	info, err := r.handle.SnapshotSharedLister().NodeInfos().Get(node)
	if err != nil {
		return false
	}
	state := newDryRunState(cluster.Planned{Node: node, Rail: -1})
	result, status, _ := r.handle.(preFilterRunner).RunPreFilterPlugins(r.ctx, state, r.pod)
	if status.IsSuccess() && (result.AllNodes() || result.NodeNames.Has(node)) {
		status = r.time.run(r.ctx, r.handle, state, r.pod, info)
	} else if status.IsSuccess() {
		status = fwk.NewStatus(fwk.UnschedulableAndUnresolvable)
	}
	switch err := status.AsError(); {
	case errors.Is(err, errSlowPlan):
		r.refused = maxSingleRefusals
		return false
	case status.Code() == fwk.Error:
		r.err = err
	}
	if !status.IsSuccess() {
		r.refused++
	}
	return status.IsSuccess()
}
