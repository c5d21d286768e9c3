// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"context"
	"errors"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	stock "k8s.io/kubernetes/pkg/scheduler/framework/preemption"
	stockmetrics "k8s.io/kubernetes/pkg/scheduler/metrics"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/evict"
)

// PodGroupPostFilter evicts pods for a PodGroup, as the stock plugin does: the scheduler places the
// group on the snapshot without all pods of lower priority, then each of them is put back with
// which the group still fits. Unlike the stock plugin it counts their devices as free, evicts
// gangs whole, and keeps the rules of package evict.
func (p *Preemption) PodGroupPostFilter(ctx context.Context, _ fwk.PodGroupCycleState, group fwk.PodGroupInfo, place fwk.PodGroupSchedulingFunc) (result *fwk.PodGroupPostFilterResult, status *fwk.Status) {
	defer func() { stockmetrics.WorkloadPreemptionAttempts.WithLabelValues(status.Code().String()).Inc() }()
	preemptor := groupPreemptor(group)
	if !mayPreempt(group) {
		return nil, unschedulable("not eligible due to preemptionPolicy=Never.")
	}
	reader, args := p.reader()
	units, err := p.units(preemptor.priority, reader, args)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	if p.awaitsVictims(group, units) {
		p.unsettled.tryAgain(preemptor.pods[0]) // any pod of a group returns the whole group
		return &fwk.PodGroupPostFilterResult{NominatingInfos: nominated(group.GetUnscheduledPods())},
			fwk.NewStatus(fwk.Success, "pod group preemption: ongoing preemption on nominated nodes")
	}
	t := groupTrial{search: newSearch(p.handle, units, args.Budgets == config.BudgetsPrefer), ctx: ctx, snapshot: p.handle.MutableSnapshotSharedLister()}
	if err := t.snapshot.StartMutations(); err != nil {
		return nil, fwk.AsStatus(fmt.Errorf("pod group preemption: %w", err))
	}
	defer func() {
		if err := t.snapshot.EndMutations(); err != nil {
			status = fwk.AsStatus(fmt.Errorf("pod group preemption: %w", err))
		}
	}()
	chosen, status := t.run(p.parts.Profile, place)
	if !status.IsSuccess() {
		return nil, status
	}
	var victims []*evict.Unit
	for _, i := range chosen {
		victims = append(victims, &units.List[i])
	}
	if len(victims) == 0 && len(preemptor.pods) > 0 {
		p.unsettled.tryAgain(preemptor.pods[0])
	}
	p.evictions.start(preemptor, victims, t.prefer)
	return &fwk.PodGroupPostFilterResult{NominatingInfos: t.nominations()},
		fwk.NewStatus(fwk.Success, fmt.Sprintf("pod group preemption: found a placement for podgroup, preempting %d victims", len(victims)))
}

func unschedulable(why string) *fwk.Status {
	return fwk.NewStatus(fwk.Unschedulable, "pod group preemption: "+why)
}

func groupPreemptor(group fwk.PodGroupInfo) preemptor {
	if composite := group.GetCompositePodGroup(); composite != nil {
		return preemptor{
			what:     "CompositePodGroup " + composite.Namespace + "/" + composite.Name,
			priority: util.CompositePodGroupPriority(composite), pods: group.GetUnscheduledPods(), group: true,
		}
	}
	named := group.GetPodGroup()
	return preemptor{
		what:     "PodGroup " + named.Namespace + "/" + named.Name,
		priority: util.PodGroupPriority(named), pods: group.GetUnscheduledPods(), group: true,
	}
}

// mayPreempt reports whether pods may be evicted for the group, by its preemptionPolicy and those
// of its pods.
func mayPreempt(group fwk.PodGroupInfo) bool {
	if composite := group.GetCompositePodGroup(); composite != nil {
		if policy := composite.Spec.PreemptionPolicy; policy != nil {
			return *policy == schedulingv1alpha3.PreemptLowerPriority
		}
	} else if policy := group.GetPodGroup().Spec.PreemptionPolicy; policy != nil {
		return *policy == schedulingv1beta1.PreemptLowerPriority
	}
	return !slices.ContainsFunc(group.GetUnscheduledPods(), func(pod *v1.Pod) bool { return !evict.Preempts(pod) })
}

// awaitsVictims reports whether pods of lower priority are leaving the group's nominated nodes
// because of preemption.
func (p *Preemption) awaitsVictims(group fwk.PodGroupInfo, units *evict.Units) bool {
	nodes := map[string]bool{}
	for _, pod := range group.GetUnscheduledPods() {
		nodes[pod.Status.NominatedNodeName] = true
	}
	delete(nodes, "")
	return slices.ContainsFunc(units.List, func(unit evict.Unit) bool {
		pod := unit.Pods[0]
		return unit.Leaving && nodes[pod.Node.Node().Name] && stock.PodTerminatingByPreemption(pod.Info.GetPod())
	})
}

// nominated returns the nominations that the pods have.
func nominated(pods []*v1.Pod) map[types.NamespacedName]*fwk.NominatingInfo {
	infos := map[types.NamespacedName]*fwk.NominatingInfo{}
	for _, pod := range pods {
		infos[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = &fwk.NominatingInfo{
			NominatingMode: fwk.ModeOverride, NominatedNodeName: pod.Status.NominatedNodeName,
		}
	}
	return infos
}

// groupTrial chooses the victims of a PodGroup. It changes the scheduler's snapshot, within a
// session of mutations.
type groupTrial struct {
	*search
	ctx      context.Context
	snapshot fwk.MutableSnapshotSharedLister
	// assigned are the group's pods with a node, in the order in which the scheduler placed
	// them.
	assigned []fwk.ProposedAssignment
}

// run returns the units to evict.
func (t *groupTrial) run(profile *cluster.Profile, place fwk.PodGroupSchedulingFunc) ([]int, *fwk.Status) {
	if len(t.units.List) == 0 {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "pod group preemption: No preemption victims found for incoming preemptor")
	}
	var gone []*v1.Pod
	var units []int
	for i := range t.units.List {
		for _, pod := range t.units.List[i].Pods {
			gone = append(gone, pod.Info.GetPod())
			if err := t.snapshot.RemovePod(klog.FromContext(t.ctx), pod.Info.GetPod(), pod.Node.Node().Name); err != nil {
				return nil, fwk.AsStatus(fmt.Errorf("removing a victim from the snapshot: %w", err))
			}
		}
		if !t.units.List[i].Leaving {
			units = append(units, i)
		}
	}
	defer profile.TakeAsGone(cluster.NewGonePods(gone))()
	found, status := place(t.ctx)
	if !status.IsSuccess() {
		return nil, status
	}
	for _, assignment := range found.ProposedAssignments {
		if assignment.GetNodeName() != "" {
			t.assigned = append(t.assigned, assignment)
		}
	}
	chosen, err := t.choose(t.inOrder(units))
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	if budget, _ := t.units.Overdrawn(chosen); budget != nil && !t.prefer {
		return nil, unschedulable("PodDisruptionBudget " + budget.Name + " does not allow to evict all victims together")
	}
	return chosen, nil
}

// choose puts back each unit with which the group still fits, and returns the others.
func (t *groupTrial) choose(units []int) ([]int, error) {
	var chosen, must []int
	for _, i := range units {
		if slices.Contains(must, i) {
			chosen = append(chosen, i)
			continue
		}
		stays, err := t.putBack(i)
		if err != nil {
			return nil, err
		}
		if !stays {
			chosen = append(chosen, i)
			must = append(must, t.before(i)...)
		}
	}
	return chosen, nil
}

// putBack puts back a unit's pods if the group fits with them. It reports whether it does.
func (t *groupTrial) putBack(i int) (bool, error) {
	pods := t.units.List[i].Pods
	for _, pod := range pods {
		if err := t.change(pod, true); err != nil {
			return false, err
		}
	}
	fits, err := t.fits()
	if err != nil || fits {
		return fits, err
	}
	for _, pod := range pods {
		if err := t.change(pod, false); err != nil {
			return false, err
		}
	}
	return false, nil
}

// change puts a running pod back, or removes it again, for all pods of the group.
func (t *groupTrial) change(pod cluster.RunningPod, back bool) error {
	name := pod.Node.Node().Name
	call, err := t.handle.RunPreFilterExtensionRemovePod, error(nil)
	if back {
		call, err = t.handle.RunPreFilterExtensionAddPod, t.snapshot.AddPod(pod.Info, name)
	} else {
		err = t.snapshot.RemovePod(klog.FromContext(t.ctx), pod.Info.GetPod(), name)
	}
	if err != nil {
		return fmt.Errorf("changing node %s in the snapshot: %w", name, err)
	}
	info, err := t.snapshot.NodeInfos().Get(name)
	if err != nil {
		return fmt.Errorf("reading node %s of the snapshot: %w", name, err)
	}
	for _, assignment := range t.assigned {
		if status := call(t.ctx, assignment.GetCycleState(), assignment.GetPod(), pod.Info, info); !status.IsSuccess() {
			return status.AsError()
		}
	}
	return nil
}

// fits reports whether each pod of the group fits on its node, with those before it placed.
func (t *groupTrial) fits() (fits bool, err error) {
	var placed []fwk.ProposedAssignment
	defer func() {
		for _, a := range slices.Backward(placed) {
			t.handle.RunReservePluginsUnreserve(t.ctx, a.GetCycleState(), a.GetPod(), a.GetNodeName())
			err = errors.Join(err, t.snapshot.RemovePod(klog.FromContext(t.ctx), a.GetPod(), a.GetNodeName()))
		}
	}()
	for _, a := range t.assigned {
		info, err := t.snapshot.NodeInfos().Get(a.GetNodeName())
		if err != nil {
			return false, fmt.Errorf("reading node %s of the snapshot: %w", a.GetNodeName(), err)
		}
		if !t.handle.RunFilterPluginsWithNominatedPods(t.ctx, a.GetCycleState(), a.GetPod(), info).IsSuccess() {
			return false, nil
		}
		if err := t.snapshot.AddPod(a.GetPodInfo(), a.GetNodeName()); err != nil {
			return false, fmt.Errorf("placing a pod in the snapshot: %w", err)
		}
		placed = append(placed, a)
		if status := t.handle.RunReservePluginsReserve(t.ctx, a.GetCycleState(), a.GetPod(), a.GetNodeName()); !status.IsSuccess() {
			return false, nil
		}
	}
	return true, nil
}

// nominations returns the nodes of the group's pods.
func (t *groupTrial) nominations() map[types.NamespacedName]*fwk.NominatingInfo {
	infos := map[types.NamespacedName]*fwk.NominatingInfo{}
	for _, a := range t.assigned {
		pod := a.GetPod()
		infos[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = &fwk.NominatingInfo{
			NominatingMode: fwk.ModeOverride, NominatedNodeName: a.GetNodeName(),
		}
	}
	return infos
}
