// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
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
	req := g.newRequest(gangs.CompositeGang(composite))
	if err := g.addChildren(&req, "", group); err != nil {
		return request{}, err
	}
	req.gang.Settle()
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
		req.add(req.gang.AddGroup(parent, gangs.PodGroupGang(child.GetPodGroup(), members), members))
	}
	return nil
}

// requestFor is what there is to plan for a PodGroup that is in no other group.
func (g *Gang) requestFor(group *schedulingv1beta1.PodGroup, unscheduled []*v1.Pod) (request, error) {
	members, err := g.groupMembers(group.Namespace, group.Name, unscheduled)
	if err != nil {
		return request{}, err
	}
	req := g.newRequest(gangs.PodGroupGang(group, members))
	req.add(members)
	return req, nil
}

// newRequest begins the request for a gang, whose members are to be added.
func (g *Gang) newRequest(gang gangs.Gang) request {
	return request{
		gang: gang, placed: map[types.UID]string{}, done: map[string]int{},
		limits: g.refusals.limits(gang.Key), holds: g.book.holdsOfOthers(gang.Key), whole: true,
	}
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
			members = append(members, gangs.PodGroupMember(pod))
		}
	}
	for _, pod := range placed {
		if gangs.Live(pod) {
			members = append(members, gangs.PodGroupMember(pod))
		}
	}
	return members, nil
}

// planGroupOf plans the PodGroup of a pod whose cycle asked for no placement. The
// cycle places all members that wait for nothing else.
func (g *Gang) planGroupOf(ctx context.Context, pod *v1.Pod, nodes []fwk.NodeInfo) (*groupPlan, error) {
	group, err := g.groupAt(fwk.PodGroupKey(pod.Namespace, *pod.Spec.SchedulingGroup.PodGroupName))
	if err != nil {
		return nil, err
	}
	return g.planGroup(ctx, group, nodes)
}

// awaitsCycle says that the pod has no node, and waits for nothing but a cycle of this
// profile.
func (g *Gang) awaitsCycle(pod *v1.Pod) bool {
	return pod.Spec.NodeName == "" && gangs.Ready(pod) && pod.Spec.SchedulerName == g.book.profile
}

// standingGroup is a group of the snapshot with the members in it that wait, as a
// PodGroup cycle would bring it.
type standingGroup struct {
	fwk.EntityKey
	group     *schedulingv1beta1.PodGroup
	composite *schedulingv1alpha3.CompositePodGroup
	waiting   []*v1.Pod
	children  []fwk.PodGroupInfo
}

var _ fwk.PodGroupInfo = (*standingGroup)(nil)

// GetKey returns what names the group.
func (s *standingGroup) GetKey() string { return s.EntityKey.String() }

// GetType returns what kind of group it is.
func (s *standingGroup) GetType() fwk.EntityKeyType { return s.Type }

// GetPodGroup returns the PodGroup, nil for a CompositePodGroup.
func (s *standingGroup) GetPodGroup() *schedulingv1beta1.PodGroup { return s.group }

// GetCompositePodGroup returns the CompositePodGroup, nil for a PodGroup.
func (s *standingGroup) GetCompositePodGroup() *schedulingv1alpha3.CompositePodGroup {
	return s.composite
}

// GetUnscheduledPods returns the members that wait, in a PodGroup.
func (s *standingGroup) GetUnscheduledPods() []*v1.Pod { return s.waiting }

// GetChildren returns the groups below a CompositePodGroup.
func (s *standingGroup) GetChildren() []fwk.PodGroupInfo { return s.children }

// groupAt reads a group in the snapshot, with all that is below it.
func (g *Gang) groupAt(key fwk.EntityKey) (*standingGroup, error) {
	if key.Type == fwk.CompositePodGroupKeyType {
		return g.compositeAt(key)
	}
	lister := g.handle.SnapshotSharedLister()
	group, err := lister.PodGroups().Get(key.Namespace, key.Name)
	if err != nil {
		return nil, fmt.Errorf("reading PodGroup %s/%s: %w", key.Namespace, key.Name, err)
	}
	state, err := lister.PodGroupStates().Get(key.Namespace, key.Name)
	if err != nil {
		return nil, fmt.Errorf("reading PodGroup %s/%s: %w", key.Namespace, key.Name, err)
	}
	one, waiting := &standingGroup{EntityKey: key, group: group}, state.UnscheduledPods()
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		if g.awaitsCycle(waiting[name]) {
			one.waiting = append(one.waiting, waiting[name])
		}
	}
	return one, nil
}

func (g *Gang) compositeAt(key fwk.EntityKey) (*standingGroup, error) {
	lister := g.handle.SnapshotSharedLister()
	composite, err := lister.CompositePodGroups().Get(key.Namespace, key.Name)
	if err != nil {
		return nil, fmt.Errorf("reading CompositePodGroup %s/%s: %w", key.Namespace, key.Name, err)
	}
	state, err := lister.CompositePodGroupStates().Get(key.Namespace, key.Name)
	if err != nil {
		return nil, fmt.Errorf("reading CompositePodGroup %s/%s: %w", key.Namespace, key.Name, err)
	}
	one := &standingGroup{EntityKey: key, composite: composite}
	for _, below := range state.GetChildren() {
		child, err := g.groupAt(below)
		if err != nil {
			return nil, err
		}
		one.children = append(one.children, child)
	}
	return one, nil
}
