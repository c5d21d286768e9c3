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

// EventsToRegister returns the events that may give room to a refused gang, one for which no
// plan was found. These are at least the events that the stock filters register, because a
// member that this plugin refuses gets no hints from the stock plugins (tested by TestEventsOfStock).
// Events of members and of objects that declare gangs are not included: the tracker of the
// gangs' states gets them from informers and activates the gang once, while a hint would be
// evaluated for every waiting pod of the cluster at every new pod. The queue has no events for
// namespaces, so their changes come from an informer too. A DeviceTaintRule shows as an update
// of the ResourceSlices that it taints.
func (g *Gang) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	const grown = fwk.Add | fwk.UpdateNodeAllocatable | fwk.UpdateNodeLabel | fwk.UpdateNodeTaint | fwk.UpdateNodeDeclaredFeature
	events := []fwk.ClusterEventWithHint{
		// A node with room, with a feature that a member needs, or with other labels.
		registered(fwk.Node, grown, g.isSchedulableAfterNodeChange),
		// A deleted node no longer counts as a domain of a topology spread constraint.
		registered(fwk.Node, fwk.Delete, g.isSchedulableAfterNodeDeleted),
		// A deleted or smaller pod frees resources, host ports, volumes or its topology
		// domain.
		registered(fwk.AssignedPod, fwk.Delete|fwk.UpdatePodScaleDown, g.isSchedulableAfterPodDeleted),
		// A new or relabelled running pod, which a member's affinity requires or no
		// longer forbids.
		registered(fwk.AssignedPod, fwk.Add|fwk.UpdatePodLabel, g.isSchedulableAfterPodAdded),
		// A waiting member with changed requests or tolerations, or with new resource
		// claims.
		registered(fwk.TargetPod, fwk.Update, g.isSchedulableAfterOwnUpdate),
		// Devices that are new, changed or released by a claim.
		registered(fwk.ResourceSlice, fwk.Add|fwk.Update, g.isSchedulableAfterSliceChange),
		registered(fwk.ResourceClaim, fwk.Add|fwk.Update|fwk.Delete, g.isSchedulableAfterClaimChange),
		registered(fwk.DeviceClass, fwk.Add|fwk.Update, g.isSchedulableAfterEvent),
		// A volume claim that was created or bound.
		registered(fwk.PersistentVolumeClaim, fwk.Add|fwk.Update, g.isSchedulableAfterVolumeClaimChange),
		// A volume that a claim can bind to, or whose zone changed.
		registered(fwk.PersistentVolume, fwk.Add|fwk.Update, g.isSchedulableAfterVolumeChange),
		// A storage class that a claim names, or that allows more topology domains.
		registered(fwk.StorageClass, fwk.Add|fwk.Update, g.isSchedulableAfterStorageClassChange),
		// A CSI driver that was installed on a node, or can attach more volumes there.
		registered(fwk.CSINode, fwk.Add|fwk.Update, g.isSchedulableAfterCSINodeChange),
		// A CSI driver for which the scheduler makes fewer checks, such as storage
		// capacity.
		registered(fwk.CSIDriver, fwk.Update, g.isSchedulableAfterCSIDriverChange),
		// Storage from which a CSI driver can create larger volumes.
		registered(fwk.CSIStorageCapacity, fwk.Add|fwk.Update, g.isSchedulableAfterStorageCapacityChange),
		// A volume was detached from a node that may have been at its attach limit.
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

// isSchedulableAfterPodGroupChange queues the members of a PodGroup whose spec or annotations
// changed.
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

// isSchedulableAfterEvent queues a member of a refused gang after an event that may help any
// pod on any node.
func (g *Gang) isSchedulableAfterEvent(_ klog.Logger, pod *v1.Pod, _, _ any) (fwk.QueueingHint, error) {
	return g.retryAfter(pod, gangstate.Event{}), nil
}

// retries reports whether the gang is planned again in this member's scheduling cycle, and then
// drops the gang's refusal. It returns false for a member that is not ready and can have no
// cycle.
func (g *Gang) retries(key gangs.Key, pod *v1.Pod) bool {
	if !gangs.Ready(pod) {
		return false
	}
	retries, effects := g.tracker.AllowRetry(key, pod, time.Now())
	g.apply(effects)
	return retries
}

// isSchedulableAfterOwnUpdate queues a member that changed. It skips changes that do not
// matter to the gang, such as the condition with the reason why a pod waits: otherwise a
// refused gang would queue itself for ever.
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

// objects has the old and the new object of an event, which identify the event.
type objects struct{ before, after any }

// eventFor returns an event that may help the pods for which helps returns true.
func eventFor(helps func(*v1.Pod) bool, oldObj, newObj any) gangstate.Event {
	return gangstate.Event{ID: objects{oldObj, newObj}, Affects: helps}
}

// late marks an event that plans may see later than the queue, because the caches that
// plans read are filled separately.
func late(event gangstate.Event) gangstate.Event {
	event.Late = true
	return event
}

// whereItHelps queues the pod if the event may help it and its gang may be planned again
// in its cycle. If the event does not help this pod, it may help another member of the
// gang that gets no hint of its own, because its cycle is still to come. That cycle would
// repeat the refusal from before the event, so the tracker plans a retry.
func (g *Gang) whereItHelps(pod *v1.Pod, event gangstate.Event) (fwk.QueueingHint, error) {
	if event.Affects(pod) {
		return g.retryAfter(pod, event), nil
	}
	if key, ok := g.sources.Key(pod); ok {
		g.apply(g.tracker.RetryOthers(key, event, time.Now()))
	}
	return fwk.QueueSkip, nil
}

// retryAfter queues a member of a refused gang after an event that may help it, if the gang
// may be planned again in this member's cycle. It skips the other members: a plan with room
// activates them. It queues a pod without a gang and a pod of a PodGroup of Kubernetes.
func (g *Gang) retryAfter(pod *v1.Pod, event gangstate.Event) fwk.QueueingHint {
	key, ok := g.sources.Key(pod)
	if !ok {
		if g.podGroups != nil && gangs.InPodGroup(pod) {
			g.tracker.NoteEvent(gangs.PodGroupKeyOf(pod), event, time.Now())
		}
		return fwk.Queue
	}
	g.tracker.NoteEvent(key, event, time.Now())
	if g.retries(key, pod) {
		return fwk.Queue
	}
	return fwk.QueueSkip
}

func anyPod(*v1.Pod) bool { return true }

// isSchedulableAfterSliceChange queues a pod after a change of a ResourceSlice, which may help
// any pod. The inventory of devices that plans read has event handlers of its own, so plans may
// see the change later than the queue.
func (g *Gang) isSchedulableAfterSliceChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	return g.whereItHelps(pod, late(eventFor(anyPod, oldObj, newObj)))
}

// isSchedulableAfterClaimChange queues a pod after a change of a ResourceClaim. A claim that
// gives its devices back may help any pod, and a claim of the pod itself helps that pod as long
// as it exists. A claim that takes devices helps no pod. The inventory of devices that plans
// read has event handlers of its own, so plans may see the change later than the queue.
func (g *Gang) isSchedulableAfterClaimChange(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, _ := oldObj.(*resourceapi.ResourceClaim)
	after, _ := newObj.(*resourceapi.ResourceClaim)
	if before != nil && before.Status.Allocation != nil && (after == nil || after.Status.Allocation == nil) {
		return g.whereItHelps(pod, late(eventFor(anyPod, oldObj, newObj)))
	}
	helps := func(pod *v1.Pod) bool { return after != nil && after.DeletionTimestamp == nil && claimOf(pod, after) }
	if before != nil && !helps(pod) {
		return fwk.QueueSkip, nil // most events are of other pods' claims that get devices
	}
	return g.whereItHelps(pod, late(eventFor(helps, oldObj, newObj)))
}

// claimOf reports whether the pod names the claim or owns it through a template. It must be
// cheap: it runs for every waiting pod at every change of a claim.
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
