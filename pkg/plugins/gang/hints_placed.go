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

// isSchedulableAfterNodeChange is isSchedulableAfterEvent for a node that the pod may use. A
// node that it may not use changes which domains a constraint on other pods counts.
func (g *Gang) isSchedulableAfterNodeChange(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	node, ok := newObj.(*v1.Node)
	if !ok {
		return g.isSchedulableAfterEvent(logger, pod, oldObj, newObj)
	}
	helps := func(pod *v1.Pod) bool { return placement.NodeEligible(pod, node) || dependsOnPods(pod) }
	return g.whereItHelps(pod, eventFor(helps, oldObj, newObj))
}

// isSchedulableAfterNodeDeleted is isSchedulableAfterEvent for a pod with a topology spread
// constraint: a node that is gone no longer counts as the domain with the fewest pods. The
// scheduler's cache drops the node after the queue has evaluated the hints.
func (g *Gang) isSchedulableAfterNodeDeleted(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	return g.whereItHelps(pod, late(eventFor(mustSpread, oldObj, newObj)))
}

// isSchedulableAfterPodDeleted is isSchedulableAfterEvent for a pod that gives back what it
// had on a node. What a member of the same gang gives back helps the gang only if that
// member is gone: an attempt that fails gives its nodes back, and the refused gang would
// queue itself for ever.
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
		return err != nil || placement.NodeEligible(pod, node) || dependsOnPods(pod) || repels(before) || sharesVolume(pod, before)
	}
	// An update of labels and requests is two events with the same objects; the other has both.
	return g.whereItHelps(pod, eventFor(helps, oldObj, nil))
}

// remains reports that a pod exists and is not being deleted. The scheduler sends the same
// event for a pod that was deleted, or ended, and for an assumed pod that it forgets. The
// informer's store, which is never behind the events, has dropped the first and shows the
// second. An assumed pod that is being deleted gets no further cycle.
func (g *Gang) remains(pod *v1.Pod) bool {
	stored, err := g.pods.Pods(pod.Namespace).Get(pod.Name)
	return err == nil && stored.UID == pod.UID && stored.DeletionTimestamp == nil
}

// isSchedulableAfterPodAdded is isSchedulableAfterEvent for pods that come to run, and for
// labels of pods that run: they take room, and help only members with a constraint on other
// pods. A plan has placed the members of the same gang that come to run.
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

// dependsOnPods reports that other pods decide where the pod may go.
func dependsOnPods(pod *v1.Pod) bool {
	affinity := pod.Spec.Affinity
	return len(pod.Spec.TopologySpreadConstraints) > 0 ||
		affinity != nil && (affinity.PodAffinity != nil || affinity.PodAntiAffinity != nil)
}

// noteDependent records that there are pods for which events of other pods matter.
func (g *Gang) noteDependent(pod *v1.Pod) {
	if dependsOnPods(pod) {
		g.dependent.Store(true)
	}
}

// repels reports that the pod keeps other pods out of its domains.
func repels(pod *v1.Pod) bool {
	affinity := pod.Spec.Affinity
	return affinity != nil && affinity.PodAntiAffinity != nil &&
		len(affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0
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

// namespaceChanged has gangs planned again for which the labels of a namespace matter: those
// whose members select namespaces by label, and those in it, which other pods may select.
func (g *Gang) namespaceChanged(before, after *v1.Namespace) {
	helps := func(pod *v1.Pod) bool { return pod.Namespace == after.Name || selectsNamespaces(pod) }
	if maps.Equal(before.Labels, after.Labels) {
		return
	}
	for _, effects := range g.tracker.RetryWhere(helps, time.Now()) {
		g.apply(effects)
	}
}

// selectsNamespaces reports that a constraint on other pods names their namespaces by label.
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
