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
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

// EventsToRegister returns the events that may give a refused gang room: at least those that
// the stock filters register, because a member that this plugin refuses gets no hints of
// theirs (TestEventsOfStock). Events of members and declarations are not among them: the
// tracker gets those from informers and activates the gang once, where a hint would be
// evaluated for every waiting pod of the cluster at every new pod. Changes of namespaces,
// which the queue does not know, come from an informer, too. A DeviceTaintRule shows as an
// update of the ResourceSlices that it taints.
func (g *Gang) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	const grown = fwk.Add | fwk.UpdateNodeAllocatable | fwk.UpdateNodeLabel | fwk.UpdateNodeTaint | fwk.UpdateNodeDeclaredFeature
	events := []fwk.ClusterEventWithHint{
		// A node with room, with a feature that a member needs, or with the labels of a better
		// domain.
		registered(fwk.Node, grown, g.isSchedulableAfterNodeChange),
		// A node whose domain had the fewest pods of a topology spread constraint.
		registered(fwk.Node, fwk.Delete, g.isSchedulableAfterNodeDeleted),
		// A pod that gives its room, its ports, its volumes or its place in a domain back.
		registered(fwk.AssignedPod, fwk.Delete|fwk.UpdatePodScaleDown, g.isSchedulableAfterPodDeleted),
		// A running pod that an affinity of a member requires, or no longer forbids.
		registered(fwk.AssignedPod, fwk.Add|fwk.UpdatePodLabel, g.isSchedulableAfterPodAdded),
		// A member that now tolerates or wants something else, or whose claims were made.
		registered(fwk.TargetPod, fwk.Update, g.isSchedulableAfterOwnUpdate),
		// Devices that appear, are described otherwise, or are given back.
		registered(fwk.ResourceSlice, fwk.Add|fwk.Update, g.isSchedulableAfterSliceChange),
		registered(fwk.ResourceClaim, fwk.Add|fwk.Update|fwk.Delete, g.isSchedulableAfterClaimChange),
		registered(fwk.DeviceClass, fwk.Add|fwk.Update, g.isSchedulableAfterEvent),
		// A claim for a volume that was made or bound.
		registered(fwk.PersistentVolumeClaim, fwk.Add|fwk.Update, g.isSchedulableAfterVolumeClaimChange),
		// A volume that a claim can have, or that moved to another zone.
		registered(fwk.PersistentVolume, fwk.Add|fwk.Update, g.isSchedulableAfterVolumeChange),
		// A class that a claim names, or that allows more domains.
		registered(fwk.StorageClass, fwk.Add|fwk.Update, g.isSchedulableAfterStorageClassChange),
		// A driver that was installed on a node, or attaches more volumes there.
		registered(fwk.CSINode, fwk.Add|fwk.Update, g.isSchedulableAfterCSINodeChange),
		// A driver for which the scheduler no longer checks capacity, or attach limits.
		registered(fwk.CSIDriver, fwk.Update, g.isSchedulableAfterCSIDriverChange),
		// Storage from which a driver can make larger volumes.
		registered(fwk.CSIStorageCapacity, fwk.Add|fwk.Update, g.isSchedulableAfterStorageCapacityChange),
		// A volume that left a node at its attach limit.
		registered(fwk.VolumeAttachment, fwk.Delete, g.isSchedulableAfterDetach),
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

// isSchedulableAfterEvent queues one member of a refused gang: if the gang can be planned
// now, the plan activates the others.
func (g *Gang) isSchedulableAfterEvent(_ klog.Logger, pod *v1.Pod, _, _ any) (fwk.QueueingHint, error) {
	key, ok := g.sources.Key(pod)
	if !ok || g.retries(key, pod) {
		return fwk.Queue, nil
	}
	return fwk.QueueSkip, nil
}

// retries reports whether the member has its gang planned again. A member that cannot have
// a cycle must not be the one that does.
func (g *Gang) retries(key gangs.Key, pod *v1.Pod) bool {
	if !gangs.Ready(pod) {
		return false
	}
	retries, effects := g.tracker.AllowRetry(key, pod, time.Now())
	g.apply(effects)
	return retries
}

// isSchedulableAfterOwnUpdate queues a member that changed. A refused gang would queue itself
// for ever if the condition that says why a pod waits were taken for a change of the pod.
func (g *Gang) isSchedulableAfterOwnUpdate(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, _ := oldObj.(*v1.Pod)
	after, _ := newObj.(*v1.Pod)
	if before != nil && after != nil && gangstate.SameForGang(before, after) {
		return fwk.QueueSkip, nil
	}
	if key, ok := g.sources.Key(pod); ok {
		g.retries(key, pod)
	}
	return fwk.Queue, nil
}

// objects identify an event.
type objects struct{ before, after any }

// eventFor returns an event that helps certain pods.
func eventFor(helps func(*v1.Pod) bool, oldObj, newObj any) gangstate.Event {
	return gangstate.Event{ID: objects{oldObj, newObj}, Affects: helps}
}

// late returns the event as one that plans may see later than the queue.
func late(event gangstate.Event) gangstate.Event {
	event.Late = true
	return event
}

// whereItHelps is isSchedulableAfterEvent for an event that helps certain pods. If it does
// not help this one, it may help another member of the gang. Members that wait get hints of
// their own. A member whose cycle is still to come gets none, and its cycle would repeat the
// refusal from before the event; and while a member has the gang planned in its cycle, no
// other member's hint does anything.
func (g *Gang) whereItHelps(pod *v1.Pod, event gangstate.Event) (fwk.QueueingHint, error) {
	key, ok := g.sources.Key(pod)
	switch {
	case !event.Affects(pod):
		if ok {
			g.apply(g.tracker.RetryOthers(key, event, time.Now()))
		}
		return fwk.QueueSkip, nil
	case ok && event.Late:
		g.tracker.NoteEvent(key, event, time.Now())
	}
	return g.isSchedulableAfterEvent(g.logger, pod, nil, nil)
}

func anyPod(*v1.Pod) bool { return true }

// isSchedulableAfterSliceChange is isSchedulableAfterEvent for devices. The device inventory
// has handlers of its own.
func (g *Gang) isSchedulableAfterSliceChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	return g.whereItHelps(pod, late(eventFor(anyPod, oldObj, newObj)))
}

// isSchedulableAfterClaimChange is isSchedulableAfterEvent for claims: those of the pod
// itself, and those that give their devices back. A claim that takes devices helps no pod.
// The device inventory has handlers of its own.
func (g *Gang) isSchedulableAfterClaimChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, _ := oldObj.(*resourceapi.ResourceClaim)
	after, _ := newObj.(*resourceapi.ResourceClaim)
	if before != nil && before.Status.Allocation != nil && (after == nil || after.Status.Allocation == nil) {
		return g.whereItHelps(pod, late(eventFor(anyPod, oldObj, newObj)))
	}
	helps := func(pod *v1.Pod) bool { return claimOf(pod, before) || claimOf(pod, after) }
	if before != nil && !helps(pod) {
		return fwk.QueueSkip, nil // most events are such: claims that get devices
	}
	return g.whereItHelps(pod, late(eventFor(helps, oldObj, newObj)))
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
