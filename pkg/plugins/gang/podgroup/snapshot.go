// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/labels"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// groupReader reads the PodGroups and CompositePodGroups that the scheduler knows.
type groupReader struct {
	handle fwk.Handle
	// hierarchies is set if the queue holds the groups of a CompositePodGroup as one
	// entity.
	hierarchies bool
}

// rootOf returns the group that the queue holds the pod in: the topmost of its hierarchy.
func (r groupReader) rootOf(pod *v1.Pod) fwk.EntityKey {
	own := fwk.PodGroupKey(pod.Namespace, *pod.Spec.SchedulingGroup.PodGroupName)
	if !r.hierarchies {
		return own
	}
	if root, ok, err := r.handle.PodGroupManager().GetRootKeyForGroup(own); err == nil && ok {
		return root
	}
	return own // the groups above are not known yet, and the queue does not hold the pod
}

// anyWaiting returns any pod without a node in the group or its subgroups, nil if there is
// none.
func (r groupReader) anyWaiting(group fwk.EntityKey) *v1.Pod {
	groups := r.handle.PodGroupManager()
	if group.Type == fwk.PodGroupKeyType {
		if state, err := groups.PodGroupStates().Get(group.Namespace, group.Name); err == nil {
			for _, pod := range state.UnscheduledPods() {
				return pod
			}
		}
		return nil
	}
	if state, err := groups.CompositePodGroupStates().Get(group.Namespace, group.Name); err == nil {
		for _, child := range state.GetChildren() {
			if pod := r.anyWaiting(child); pod != nil {
				return pod
			}
		}
	}
	return nil
}

// waitingRoots returns the topmost groups with waiting pods, each with one of these pods.
func (r groupReader) waitingRoots() (map[fwk.EntityKey]*v1.Pod, error) {
	pods, err := r.handle.SharedInformerFactory().Core().V1().Pods().Lister().List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	waiting := map[fwk.EntityKey]*v1.Pod{}
	for _, pod := range pods {
		if gangs.InPodGroup(pod) && r.awaitsCycle(pod) {
			waiting[r.rootOf(pod)] = pod
		}
	}
	return waiting, nil
}

// awaitsCycle reports whether the pod has no node and waits only for a cycle of this
// profile.
func (r groupReader) awaitsCycle(pod *v1.Pod) bool {
	return pod.Spec.NodeName == "" && gangs.Ready(pod) && pod.Spec.SchedulerName == r.handle.ProfileName()
}

// waitingGroup is a group of the snapshot with its waiting members, as a PodGroup cycle
// would get it.
type waitingGroup struct {
	fwk.EntityKey
	group     *schedulingv1beta1.PodGroup
	composite *schedulingv1alpha3.CompositePodGroup
	waiting   []*v1.Pod
	children  []fwk.PodGroupInfo
}

var _ fwk.PodGroupInfo = (*waitingGroup)(nil)

// GetKey returns the group's key.
func (w *waitingGroup) GetKey() string { return w.EntityKey.String() }

// GetType returns the kind of group.
func (w *waitingGroup) GetType() fwk.EntityKeyType { return w.Type }

// GetPodGroup returns the PodGroup, nil for a CompositePodGroup.
func (w *waitingGroup) GetPodGroup() *schedulingv1beta1.PodGroup { return w.group }

// GetCompositePodGroup returns the CompositePodGroup, nil for a PodGroup.
func (w *waitingGroup) GetCompositePodGroup() *schedulingv1alpha3.CompositePodGroup {
	return w.composite
}

// GetUnscheduledPods returns the waiting members of a PodGroup.
func (w *waitingGroup) GetUnscheduledPods() []*v1.Pod { return w.waiting }

// GetChildren returns the groups below a CompositePodGroup.
func (w *waitingGroup) GetChildren() []fwk.PodGroupInfo { return w.children }

// groupAt reads a group and all groups below it from the snapshot.
func (r groupReader) groupAt(key fwk.EntityKey) (*waitingGroup, error) {
	if key.Type == fwk.CompositePodGroupKeyType {
		return r.compositeAt(key)
	}
	lister := r.handle.SnapshotSharedLister()
	group, err := lister.PodGroups().Get(key.Namespace, key.Name)
	if err != nil {
		return nil, fmt.Errorf("reading PodGroup %s/%s: %w", key.Namespace, key.Name, err)
	}
	state, err := lister.PodGroupStates().Get(key.Namespace, key.Name)
	if err != nil {
		return nil, fmt.Errorf("reading PodGroup %s/%s: %w", key.Namespace, key.Name, err)
	}
	found, waiting := &waitingGroup{EntityKey: key, group: group}, state.UnscheduledPods()
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		if r.awaitsCycle(waiting[name]) {
			found.waiting = append(found.waiting, waiting[name])
		}
	}
	return found, nil
}

func (r groupReader) compositeAt(key fwk.EntityKey) (*waitingGroup, error) {
	lister := r.handle.SnapshotSharedLister()
	composite, err := lister.CompositePodGroups().Get(key.Namespace, key.Name)
	if err != nil {
		return nil, fmt.Errorf("reading CompositePodGroup %s/%s: %w", key.Namespace, key.Name, err)
	}
	state, err := lister.CompositePodGroupStates().Get(key.Namespace, key.Name)
	if err != nil {
		return nil, fmt.Errorf("reading CompositePodGroup %s/%s: %w", key.Namespace, key.Name, err)
	}
	found := &waitingGroup{EntityKey: key, composite: composite}
	for _, below := range state.GetChildren() {
		child, err := r.groupAt(below)
		if err != nil {
			return nil, err
		}
		found.children = append(found.children, child)
	}
	return found, nil
}
