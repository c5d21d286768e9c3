// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// groupRequest returns the planning request for the group of a cycle.
func (c *Cycle) groupRequest(group fwk.PodGroupInfo) (gangs.Request, error) {
	composite := group.GetCompositePodGroup()
	if composite == nil {
		return c.podGroupRequest(group.GetPodGroup(), group.GetUnscheduledPods())
	}
	request := newRequest(gangs.CompositeGang(composite))
	if err := c.addChildren(&request, "", group); err != nil {
		return gangs.Request{}, err
	}
	request.Gang.Settle()
	return request, nil
}

// addChildren adds the groups below a composite group. parent is that group's name in the
// gang.
func (c *Cycle) addChildren(request *gangs.Request, parent string, group fwk.PodGroupInfo) error {
	for _, child := range group.GetChildren() {
		if composite := child.GetCompositePodGroup(); composite != nil {
			if err := c.addChildren(request, request.Gang.AddComposite(parent, composite), child); err != nil {
				return err
			}
			continue
		}
		members, err := c.groupMembers(child.GetNamespace(), child.GetName(), child.GetUnscheduledPods())
		if err != nil {
			return err
		}
		addMembers(request, request.Gang.AddGroup(parent, gangs.PodGroupGang(child.GetPodGroup(), members), members))
	}
	return nil
}

// podGroupRequest returns the planning request for a PodGroup outside a hierarchy.
func (c *Cycle) podGroupRequest(group *schedulingv1beta1.PodGroup, unscheduled []*v1.Pod) (gangs.Request, error) {
	members, err := c.groupMembers(group.Namespace, group.Name, unscheduled)
	if err != nil {
		return gangs.Request{}, err
	}
	request := newRequest(gangs.PodGroupGang(group, members))
	addMembers(&request, members)
	return request, nil
}

// newRequest returns a request for a gang, without members.
func newRequest(gang gangs.Gang) gangs.Request {
	return gangs.Request{Gang: gang, Placed: map[types.UID]string{}, Done: map[string]int{}, PreferAll: true}
}

// addMembers adds members to a request.
func addMembers(request *gangs.Request, members []gangs.Member) {
	for _, m := range members {
		if node := m.Pod.Spec.NodeName; node != "" {
			request.Placed[m.Pod.UID] = node
		}
	}
	request.Members = append(request.Members, members...)
}

// groupMembers returns the members of a PodGroup that have neither failed nor are being
// deleted: the given unscheduled pods and the placed ones.
func (c *Cycle) groupMembers(namespace, name string, unscheduled []*v1.Pod) ([]gangs.Member, error) {
	state, err := c.Handle.SnapshotSharedLister().PodGroupStates().Get(namespace, name)
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
