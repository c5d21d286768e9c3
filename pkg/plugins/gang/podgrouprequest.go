// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// groupRequest is what there is to plan for the group of a cycle.
func (g *Gang) groupRequest(group fwk.PodGroupInfo) (request, error) {
	composite := group.GetCompositePodGroup()
	if composite == nil {
		return g.requestFor(group.GetPodGroup(), group.GetUnscheduledPods())
	}
	req := request{gang: gangs.NativeComposite(composite), placed: map[types.UID]string{}, done: map[string]int{}, holds: g.book.allHolds(), whole: true}
	if err := g.addChildren(&req, "", group); err != nil {
		return request{}, err
	}
	req.gang.Settle()
	req.limits = g.refusals.limits(req.gang.Key)
	return req, nil
}

// addChildren adds what is below a composite group, which has that name in the gang.
func (g *Gang) addChildren(req *request, parent string, group fwk.PodGroupInfo) error {
	for _, child := range group.GetChildren() {
		if composite := child.GetCompositePodGroup(); composite != nil {
			if err := g.addChildren(req, req.gang.AddComposite(parent, composite), child); err != nil {
				return err
			}
			continue
		}
		members, err := g.groupMembers(child.GetNamespace(), child.GetName(), child.GetUnscheduledPods())
		if err != nil {
			return err
		}
		req.add(req.gang.AddGroup(parent, gangs.NativeGang(child.GetPodGroup(), members), members))
	}
	return nil
}

// requestFor is what there is to plan for a PodGroup that is in no other group.
func (g *Gang) requestFor(group *schedulingv1beta1.PodGroup, unscheduled []*v1.Pod) (request, error) {
	members, err := g.groupMembers(group.Namespace, group.Name, unscheduled)
	if err != nil {
		return request{}, err
	}
	req := request{gang: gangs.NativeGang(group, members), placed: map[types.UID]string{}, done: map[string]int{}, holds: g.book.allHolds(), whole: true}
	req.add(members)
	req.limits = g.refusals.limits(req.gang.Key)
	return req, nil
}

func (r *request) add(members []gangs.Member) {
	for _, m := range members {
		if node := m.Pod.Spec.NodeName; node != "" {
			r.placed[m.Pod.UID] = node
		}
	}
	r.members = append(r.members, members...)
}

// groupMembers are the members of a PodGroup that are to be placed, and those that
// are placed already.
func (g *Gang) groupMembers(namespace, name string, unscheduled []*v1.Pod) ([]gangs.Member, error) {
	state, err := g.handle.SnapshotSharedLister().PodGroupStates().Get(namespace, name)
	if err != nil {
		return nil, fmt.Errorf("reading PodGroup %s/%s: %w", namespace, name, err)
	}
	placed := state.ScheduledPods()
	members := make([]gangs.Member, 0, len(unscheduled)+len(placed))
	for _, pod := range unscheduled {
		if gangs.Live(pod) {
			members = append(members, gangs.NativeMember(pod))
		}
	}
	for _, pod := range placed {
		if gangs.Live(pod) {
			members = append(members, gangs.NativeMember(pod))
		}
	}
	return members, nil
}

// planGroupOf plans the PodGroup of a pod whose cycle asked for no placement. The
// cycle places all members that wait for nothing else.
func (g *Gang) planGroupOf(ctx context.Context, pod *v1.Pod, nodes []fwk.NodeInfo) (*groupPlan, error) {
	name := *pod.Spec.SchedulingGroup.PodGroupName
	lister := g.handle.SnapshotSharedLister()
	group, err := lister.PodGroups().Get(pod.Namespace, name)
	if err != nil {
		return nil, fmt.Errorf("reading PodGroup %s/%s: %w", pod.Namespace, name, err)
	}
	state, err := lister.PodGroupStates().Get(pod.Namespace, name)
	if err != nil {
		return nil, fmt.Errorf("reading PodGroup %s/%s: %w", pod.Namespace, name, err)
	}
	waiting := state.UnscheduledPods()
	unscheduled := make([]*v1.Pod, 0, len(waiting))
	for _, key := range slices.Sorted(maps.Keys(waiting)) {
		if one := waiting[key]; gangs.Ready(one) && one.Spec.SchedulerName == g.book.profile {
			unscheduled = append(unscheduled, one)
		}
	}
	req, err := g.requestFor(group, unscheduled)
	if err != nil {
		return nil, err
	}
	return g.planRequest(ctx, req, nodes)
}
