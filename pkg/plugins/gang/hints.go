// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/placement"
)

// EventsToRegister returns the events that may free room for a refused gang. It omits
// events of members and declarations: the tracker gets those from informers and activates
// the gang once. A hint would run for every waiting pod of the cluster at every new pod.
func (g *Gang) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	const grown = fwk.Add | fwk.UpdateNodeAllocatable | fwk.UpdateNodeLabel | fwk.UpdateNodeTaint
	events := []fwk.ClusterEventWithHint{
		// A node with room, or with the labels of a better domain.
		registered(fwk.Node, grown, g.isSchedulableAfterNodeChange),
		// A pod that frees its resources.
		registered(fwk.AssignedPod, fwk.Delete|fwk.UpdatePodScaleDown, g.isSchedulableAfterPodDeleted),
		// A running pod that a member's affinity requires.
		registered(fwk.AssignedPod, fwk.Add|fwk.UpdatePodLabel, g.isSchedulableAfterPodAdded),
		// A member whose tolerations or other constraints changed.
		registered(fwk.TargetPod, fwk.Update, g.isSchedulableAfterEvent),
		// Devices that are added, changed or freed.
		registered(fwk.ResourceSlice, fwk.Add|fwk.Update, g.isSchedulableAfterEvent),
		registered(fwk.ResourceClaim, fwk.Add|fwk.Update|fwk.Delete, g.isSchedulableAfterClaimChange),
		registered(fwk.DeviceClass, fwk.Add|fwk.Update, g.isSchedulableAfterEvent),
		// Volumes of a member.
		registered(fwk.PersistentVolumeClaim, fwk.Add|fwk.Update, g.isSchedulableAfterEvent),
		registered(fwk.PersistentVolume, fwk.Add|fwk.Update, g.isSchedulableAfterEvent),
		registered(fwk.StorageClass, fwk.Add, g.isSchedulableAfterEvent),
		registered(fwk.CSINode, fwk.Add|fwk.Update, g.isSchedulableAfterEvent),
	}
	if g.podGroups != nil {
		// Changes of a PodGroup's spec and annotations; status changes are skipped.
		events = append(events, registered(fwk.PodGroup, fwk.Update, isSchedulableAfterPodGroupChange))
	}
	if g.podGroups != nil && g.Cycle.Hierarchies {
		// Only the annotations of a CompositePodGroup can change.
		events = append(events, registered(fwk.CompositePodGroup, fwk.Update, isSchedulableAfterCompositeChange))
	}
	return events, nil
}

// isSchedulableAfterPodGroupChange queues the members of a PodGroup whose policy or
// annotations changed.
func isSchedulableAfterPodGroupChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, _ := oldObj.(*schedulingv1beta1.PodGroup)
	after, ok := newObj.(*schedulingv1beta1.PodGroup)
	switch {
	case !ok || before == nil || !gangs.InPodGroup(pod):
		return fwk.Queue, nil
	case gangs.PodGroupKeyOf(pod) != gangs.PodGroupKey(after.Namespace, after.Name),
		before.Generation == after.Generation && maps.Equal(before.Annotations, after.Annotations):
		return fwk.QueueSkip, nil
	}
	return fwk.Queue, nil
}

// isSchedulableAfterCompositeChange queues the members of all hierarchies in the namespace
// of a CompositePodGroup whose annotations changed. Finding the pod's hierarchy would cost
// more.
func isSchedulableAfterCompositeChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, _ := oldObj.(*schedulingv1alpha3.CompositePodGroup)
	after, ok := newObj.(*schedulingv1alpha3.CompositePodGroup)
	if ok && before != nil && (pod.Namespace != after.Namespace || !gangs.InPodGroup(pod) || maps.Equal(before.Annotations, after.Annotations)) {
		return fwk.QueueSkip, nil
	}
	return fwk.Queue, nil
}

func registered(resource fwk.EventResource, action fwk.ActionType, hint fwk.QueueingHintFn) fwk.ClusterEventWithHint {
	return fwk.ClusterEventWithHint{
		Event:          fwk.ClusterEvent{Resource: resource, ActionType: action},
		QueueingHintFn: hint,
	}
}

// isSchedulableAfterEvent queues one member of a refused gang. If the gang can be planned
// now, the plan activates the others. It skips resources freed by members of the same gang,
// and writes of the condition with the waiting reason: either would make a refused gang
// queue itself forever.
func (g *Gang) isSchedulableAfterEvent(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, _ := oldObj.(*v1.Pod)
	after, _ := newObj.(*v1.Pod)
	own := after != nil && after.UID == pod.UID
	if own && before != nil && gangstate.SameForGang(before, after) {
		return fwk.QueueSkip, nil
	}
	key, ok := g.sources.Key(pod)
	if !ok {
		return fwk.Queue, nil
	}
	if !own && (g.memberOf(key, before) || g.memberOf(key, after)) {
		return fwk.QueueSkip, nil
	}
	// A member that cannot have a cycle must not be the one to plan the gang.
	retries := false
	if gangs.Ready(pod) {
		var effects gangstate.Effects
		retries, effects = g.tracker.AllowRetry(key, pod, time.Now())
		g.apply(effects)
	}
	if own || retries {
		return fwk.Queue, nil
	}
	return fwk.QueueSkip, nil
}

func (g *Gang) memberOf(key gangs.Key, pod *v1.Pod) bool {
	if pod == nil {
		return false
	}
	k, ok := g.sources.Key(pod)
	return ok && k == key
}

// retryOtherMembers handles an event that does not help the pod but may help another member
// of its gang. The queue evaluates hints only for waiting members. A member already queued
// gets no hint, and its cycle would repeat the refusal from before the event. If the event
// concerns certain pods, about has their UIDs; with none, it concerns all members.
func (g *Gang) retryOtherMembers(pod *v1.Pod, about ...types.UID) (fwk.QueueingHint, error) {
	if key, ok := g.sources.Key(pod); ok {
		g.apply(g.tracker.RetryOthers(key, about, time.Now()))
	}
	return fwk.QueueSkip, nil
}

// isSchedulableAfterNodeChange is isSchedulableAfterEvent for nodes. For a node that the
// pod cannot use it only retries other members.
func (g *Gang) isSchedulableAfterNodeChange(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	if node, ok := newObj.(*v1.Node); ok && !placement.NodeEligible(pod, node) {
		return g.retryOtherMembers(pod)
	}
	return g.isSchedulableAfterEvent(logger, pod, oldObj, newObj)
}

// isSchedulableAfterPodDeleted is isSchedulableAfterEvent for pods that free their
// resources.
func (g *Gang) isSchedulableAfterPodDeleted(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, ok := oldObj.(*v1.Pod)
	if !ok {
		return g.isSchedulableAfterEvent(logger, pod, oldObj, newObj)
	}
	node, err := g.nodes.Get(before.Spec.NodeName)
	if err == nil && !placement.NodeEligible(pod, node) {
		return g.retryOtherMembers(pod)
	}
	return g.isSchedulableAfterEvent(logger, pod, oldObj, newObj)
}

// isSchedulableAfterPodAdded is isSchedulableAfterEvent for newly assigned pods. They take
// resources, and help only members with a constraint on other pods.
func (g *Gang) isSchedulableAfterPodAdded(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	affinity := pod.Spec.Affinity
	if len(pod.Spec.TopologySpreadConstraints) == 0 &&
		(affinity == nil || affinity.PodAffinity == nil && affinity.PodAntiAffinity == nil) {
		return fwk.QueueSkip, nil
	}
	return g.isSchedulableAfterEvent(logger, pod, oldObj, newObj)
}

// isSchedulableAfterClaimChange is isSchedulableAfterEvent for claims: the pod's own claims
// and claims that free devices. A claim that gets devices helps no pod.
func (g *Gang) isSchedulableAfterClaimChange(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, _ := oldObj.(*resourceapi.ResourceClaim)
	after, _ := newObj.(*resourceapi.ResourceClaim)
	freed := before != nil && before.Status.Allocation != nil && (after == nil || after.Status.Allocation == nil)
	switch {
	case freed || claimOf(pod, before) || claimOf(pod, after):
	case before == nil:
		if owner := metav1.GetControllerOfNoCopy(after); owner != nil {
			return g.retryOtherMembers(pod, owner.UID)
		}
		return g.retryOtherMembers(pod)
	default:
		return fwk.QueueSkip, nil
	}
	return g.isSchedulableAfterEvent(logger, pod, oldObj, newObj)
}

// claimOf reports whether the pod names the claim or owns it through a template. It runs
// for every waiting pod at every change of a claim.
func claimOf(pod *v1.Pod, claim *resourceapi.ResourceClaim) bool {
	if claim == nil || claim.Namespace != pod.Namespace || len(pod.Spec.ResourceClaims) == 0 {
		return false
	}
	if owner := metav1.GetControllerOfNoCopy(claim); owner != nil && owner.UID == pod.UID {
		return true
	}
	return slices.ContainsFunc(pod.Spec.ResourceClaims, func(ref v1.PodResourceClaim) bool {
		return ref.ResourceClaimName != nil && *ref.ResourceClaimName == claim.Name
	})
}
