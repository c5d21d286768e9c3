// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// singleTrials is how many nodes the filters may refuse to a pod that is planned
// as a gang of one. A pod that more refuse is left to the ordinary cycle, which
// asks them about all nodes at once.
const singleTrials = 8

// alone plans a pod that is in no gang, but has claims, as a gang of one: it gets
// the node on which it breaks least, and its cycle looks at no other. Whatever the
// planner cannot judge, and a pod for which it finds no node, takes the ordinary
// cycle, with everything that stock does for it, preemption included.
func (g *Gang) alone(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if len(pod.Spec.ResourceClaims) == 0 {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	g.once.Do(func() { g.settle(ctx, nodes) })
	kept := g.book.keptFromPod(pod)
	if plannedAlone(pod) {
		node, err := g.planAlone(ctx, pod, nodes, kept)
		if err != nil {
			return nil, fwk.AsStatus(err)
		}
		if node != "" {
			cluster.SetPlanned(state, cluster.Planned{Node: node, Rail: -1})
			return &fwk.PreFilterResult{NodeNames: sets.New(node)}, nil
		}
	}
	return stepAside(kept, nodes)
}

// plannedAlone says whether the planner knows all that the pod wishes for. It
// knows what must be, from the filters, but not what would merely be nice.
func plannedAlone(pod *v1.Pod) bool {
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

// planAlone returns the pod's node, "" if the ordinary cycle is to find one. Nodes
// that are kept for a gang are not used.
func (g *Gang) planAlone(ctx context.Context, pod *v1.Pod, nodes []fwk.NodeInfo, kept map[string]bool) (string, error) {
	survey, err := g.desk.Cache()
	if err != nil {
		return "", err
	}
	needs, err := survey.Read([]*v1.Pod{pod})
	if err != nil || len(needs[0].Devices) == 0 || needs[0].Alternatives {
		return "", nil // the in-tree plugin has its own words for what it cannot serve
	}
	picture, err := survey.Refresh(nodes, g.book.holdsOfOthers(gangs.Key{}))
	if err != nil {
		return "", err
	}
	role := plan.Role{Name: "pod", Min: 1, Need: needs[0].Need, RDMA: needs[0].RDMA, Members: []plan.Member{{Name: pod.Name}}, Limit: map[string]int{}}
	for node := range kept {
		role.Limit[node] = 0
	}
	ask := plan.Gang{Name: pod.Namespace + "/" + pod.Name, Min: 1, Roles: []plan.Role{role}}
	one := single{ctx: ctx, handle: g.handle, pod: pod}
	decision := plan.Plan(picture, ask, one.fits, plan.Options{Budget: g.args.SearchBudget})
	if one.err != nil || !decision.Placed {
		return "", one.err
	}
	return decision.Assignments[0].Node, nil
}

// holdsOfOthers is holds for those who have no other business with the book.
func (b *book) holdsOfOthers(key gangs.Key) []gangs.Hold {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.holds(key)
}

// single asks the filters about a pod and one node after the other: each time the
// pod's cycle is prepared for that node alone, so that a trial costs what the node
// costs.
type single struct {
	ctx     context.Context
	handle  fwk.Handle
	pod     *v1.Pod
	refused int
	err     error
}

func (s *single) fits(_ int, node string, _ int) bool {
	if s.err != nil || s.refused == singleTrials {
		return false
	}
	info, err := s.handle.SnapshotSharedLister().NodeInfos().Get(node)
	if err != nil {
		return false
	}
	state := trialState(cluster.Planned{Node: node, Rail: -1})
	result, status, _ := s.handle.(preFilters).RunPreFilterPlugins(s.ctx, state, s.pod)
	if status.IsSuccess() && (result.AllNodes() || result.NodeNames.Has(node)) {
		status = s.handle.RunFilterPlugins(s.ctx, state, s.pod, info)
	} else if status.IsSuccess() {
		status = fwk.NewStatus(fwk.UnschedulableAndUnresolvable)
	}
	if status.Code() == fwk.Error {
		s.err = status.AsError()
	}
	if !status.IsSuccess() {
		s.refused++
	}
	return status.IsSuccess()
}
