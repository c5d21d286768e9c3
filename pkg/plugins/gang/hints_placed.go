// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/placement"
)

// The hints in this file are about nodes and about pods on nodes.

// isSchedulableAfterNodeChange queues a pod that may use the changed node, or that has a
// constraint on other pods: even a node that the pod cannot use changes which domains
// such a constraint counts.
func (g *Gang) isSchedulableAfterNodeChange(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	node, ok := newObj.(*v1.Node)
	if !ok {
		return g.isSchedulableAfterEvent(logger, pod, oldObj, newObj)
	}
	helps := func(pod *v1.Pod) bool { return placement.NodeEligible(pod, node) || dependsOnPods(pod) }
	event := eventFor(helps, oldObj, newObj)
	if !g.dependent.Load() {
		event.Node = node.Name
	}
	return g.whereItHelps(pod, event)
}

// isSchedulableAfterNodeDeleted queues a pod with a required topology spread constraint:
// the deleted node no longer counts as the domain with the fewest pods. The scheduler's
// cache drops the node after the hints, so plans may see the deletion later than the
// queue.
func (g *Gang) isSchedulableAfterNodeDeleted(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	return g.whereItHelps(pod, late(eventFor(mustSpread, oldObj, newObj)))
}

// isSchedulableAfterPodDeleted queues a pod that may use what another pod frees on a
// node. If the other pod is a member of the same gang, it must be gone: a failed attempt
// to place the gang frees nodes too, and the refused gang would queue itself for ever.
func (g *Gang) isSchedulableAfterPodDeleted(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, ok := oldObj.(*v1.Pod)
	if !ok {
		return g.isSchedulableAfterEvent(logger, pod, oldObj, newObj)
	}
	if newObj == nil && g.ofSameGang(pod, before) && g.remains(before) {
		return fwk.QueueSkip, nil
	}
	node, err := g.nodes.Get(before.Spec.NodeName)
	helps := func(pod *v1.Pod) bool {
		return err != nil || placement.NodeEligible(pod, node) || dependsOnPods(pod) || placement.RepelsPods(before) || sharesVolume(pod, before)
	}
	// An update of a pod's labels and requests is two events with the same two objects.
	// The ID of this event has only the old one, so the IDs differ.
	event := eventFor(helps, oldObj, nil)
	if !g.dependent.Load() && !usesClaims(before) {
		event.Node = before.Spec.NodeName
	}
	return g.whereItHelps(pod, event)
}

// usesClaims reports whether the pod has devices or volumes, which may not belong to its node.
func usesClaims(pod *v1.Pod) bool {
	return len(pod.Spec.ResourceClaims) > 0 || placement.HasVolumeClaims(pod)
}

// remains reports whether a pod exists and is not being deleted. The scheduler sends the
// same event for a pod that was deleted or has ended, and for a pod that it assumed on a
// node and then forgot. The informer's store, which is updated before the events, only
// has the forgotten pod. A forgotten pod that is being deleted gets no further cycle.
func (g *Gang) remains(pod *v1.Pod) bool {
	stored, err := g.pods.Pods(pod.Namespace).Get(pod.Name)
	return err == nil && stored.UID == pod.UID && stored.DeletionTimestamp == nil
}

// isSchedulableAfterPodAdded queues a pod with a constraint on other pods after another
// pod began to run or changed its labels. Such a change takes room, so it helps no pod
// without a constraint. It skips new running members of the same gang: a plan has placed
// them.
func (g *Gang) isSchedulableAfterPodAdded(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	if !g.dependent.Load() {
		return fwk.QueueSkip, nil
	}
	if after, ok := newObj.(*v1.Pod); ok && oldObj == nil && g.ofSameGang(pod, after) {
		return fwk.QueueSkip, nil
	}
	return g.whereItHelps(pod, eventFor(dependsOnPods, oldObj, newObj))
}

// ofSameGang reports that two pods are members of one gang.
func (g *Gang) ofSameGang(pod, other *v1.Pod) bool {
	key, ok := g.sources.Key(pod)
	k, isMember := g.sources.Key(other)
	return ok && isMember && k == key
}

// dependsOnPods reports whether the pod has a constraint on other pods (affinity or
// topology spread).
func dependsOnPods(pod *v1.Pod) bool {
	affinity := pod.Spec.Affinity
	return len(pod.Spec.TopologySpreadConstraints) > 0 ||
		affinity != nil && (affinity.PodAffinity != nil || affinity.PodAntiAffinity != nil)
}

// noteDependent records that some pod has a constraint on other pods, so that events of
// running pods matter.
func (g *Gang) noteDependent(pod *v1.Pod) {
	if dependsOnPods(pod) {
		g.dependent.Store(true)
	}
}

// mustSpread reports that a topology spread constraint keeps the pod from some domains.
func mustSpread(pod *v1.Pod) bool {
	for i := range pod.Spec.TopologySpreadConstraints {
		if pod.Spec.TopologySpreadConstraints[i].WhenUnsatisfiable == v1.DoNotSchedule {
			return true
		}
	}
	return false
}

// namespaceChanged has gangs planned again for which the labels of the namespace matter:
// gangs with members that select namespaces by label, and gangs in the namespace, because
// running pods may select them.
func (g *Gang) namespaceChanged(before, after *v1.Namespace) {
	helps := func(pod *v1.Pod) bool { return pod.Namespace == after.Name || selectsNamespaces(pod) }
	if maps.Equal(before.Labels, after.Labels) {
		return
	}
	for _, effects := range g.tracker.RetryWhere(helps, time.Now()) {
		g.apply(effects)
	}
}

// selectsNamespaces reports whether an affinity of the pod selects the namespaces of
// other pods by label.
func selectsNamespaces(pod *v1.Pod) bool {
	affinity := pod.Spec.Affinity
	if affinity == nil {
		return false
	}
	var terms []v1.PodAffinityTerm
	if affinity.PodAffinity != nil {
		terms = append(terms, affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution...)
	}
	if affinity.PodAntiAffinity != nil {
		terms = append(terms, affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution...)
	}
	return slices.ContainsFunc(terms, func(term v1.PodAffinityTerm) bool { return term.NamespaceSelector != nil })
}
