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
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// EventsToRegister returns what can turn a "no" to a gang into a "yes". What
// happens to members and declarations is not among them: the book sees that
// itself and activates the gang once, where a hint would be asked for every
// waiting pod of the cluster at every new pod.
func (g *Gang) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	const grown = fwk.Add | fwk.UpdateNodeAllocatable | fwk.UpdateNodeLabel | fwk.UpdateNodeTaint
	events := []fwk.ClusterEventWithHint{
		// A node with room, or with the labels of a better domain.
		on(fwk.Node, grown, g.offers),
		// A pod that gives its room back.
		on(fwk.AssignedPod, fwk.Delete|fwk.UpdatePodScaleDown, g.vacates),
		// A running pod that an affinity of a member waits for.
		on(fwk.AssignedPod, fwk.Add|fwk.UpdatePodLabel, g.attracts),
		// A member that now tolerates or wants something else.
		on(fwk.TargetPod, fwk.Update, g.helps),
		// Devices that appear, are described otherwise, or are given back.
		on(fwk.ResourceSlice, fwk.Add|fwk.Update, g.helps),
		on(fwk.ResourceClaim, fwk.Add|fwk.Update|fwk.Delete, g.frees),
		on(fwk.DeviceClass, fwk.Add|fwk.Update, g.helps),
		// Volumes that a member waits for.
		on(fwk.PersistentVolumeClaim, fwk.Add|fwk.Update, g.helps),
		on(fwk.PersistentVolume, fwk.Add|fwk.Update, g.helps),
		on(fwk.StorageClass, fwk.Add, g.helps),
		on(fwk.CSINode, fwk.Add|fwk.Update, g.helps),
	}
	if g.native {
		// What a PodGroup of scheduling.k8s.io asks for. Its status is not among that.
		events = append(events, on(fwk.PodGroup, fwk.Update, regroups))
	}
	if g.hierarchies {
		// Of a CompositePodGroup only the annotations can change.
		events = append(events, on(fwk.CompositePodGroup, fwk.Update, rewishes))
	}
	return events, nil
}

// regroups wakes the members of a PodGroup whose policy or wishes changed.
func regroups(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
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

// rewishes wakes the members of hierarchies of a namespace in which the wishes of one
// changed: who is in which is not asked for a hint.
func rewishes(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, _ := oldObj.(*schedulingv1alpha3.CompositePodGroup)
	after, ok := newObj.(*schedulingv1alpha3.CompositePodGroup)
	if ok && before != nil && (pod.Namespace != after.Namespace || !gangs.InPodGroup(pod) || maps.Equal(before.Annotations, after.Annotations)) {
		return fwk.QueueSkip, nil
	}
	return fwk.Queue, nil
}

func on(resource fwk.EventResource, action fwk.ActionType, hint fwk.QueueingHintFn) fwk.ClusterEventWithHint {
	return fwk.ClusterEventWithHint{
		Event:          fwk.ClusterEvent{Resource: resource, ActionType: action},
		QueueingHintFn: hint,
	}
}

// helps wakes one member of a refused gang: if the gang can be planned now, the
// plan activates the others. What members of the same gang give back helps
// nobody in it, or a refused gang would wake itself for ever. It would do so,
// too, if the condition that says why a pod waits were taken for a change of it.
func (g *Gang) helps(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, _ := oldObj.(*v1.Pod)
	after, _ := newObj.(*v1.Pod)
	own := after != nil && after.UID == pod.UID
	if own && before != nil && alike(before, after) {
		return fwk.QueueSkip, nil
	}
	key, ok := g.sources.Key(pod)
	if !ok {
		return fwk.Queue, nil
	}
	if !own && (g.memberOf(key, before) || g.memberOf(key, after)) {
		return fwk.QueueSkip, nil
	}
	// One that cannot have a cycle must not be the one that asks.
	asks := gangs.Ready(pod) && g.forgive(key, pod)
	if own || asks {
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

// elsewhere is the answer for an event that does not help the pod, but may help
// another member of its gang. Those that wait are asked as well. One whose cycle is
// still to come is not asked, and would take the answer "no" from the time before
// the event. If the event is about certain pods, only they matter.
func (g *Gang) elsewhere(pod *v1.Pod, about ...types.UID) (fwk.QueueingHint, error) {
	if key, ok := g.sources.Key(pod); ok {
		g.askLater(key, g.book.missed(key, time.Now(), about))
	}
	return fwk.QueueSkip, nil
}

// offers is helps for nodes: one on which the member cannot stand helps its gang
// only if it helps another role.
func (g *Gang) offers(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	if node, ok := newObj.(*v1.Node); ok && !mayStand(pod, node) {
		return g.elsewhere(pod)
	}
	return g.helps(logger, pod, oldObj, newObj)
}

// vacates is helps for pods that give back their room on a node.
func (g *Gang) vacates(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, ok := oldObj.(*v1.Pod)
	if !ok {
		return g.helps(logger, pod, oldObj, newObj)
	}
	node, err := g.nodes.Get(before.Spec.NodeName)
	if err == nil && !mayStand(pod, node) {
		return g.elsewhere(pod)
	}
	return g.helps(logger, pod, oldObj, newObj)
}

// attracts is helps for pods that come to stand somewhere: they take room, and
// are good only for members that look at their neighbours.
func (g *Gang) attracts(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	affinity := pod.Spec.Affinity
	if len(pod.Spec.TopologySpreadConstraints) == 0 &&
		(affinity == nil || affinity.PodAffinity == nil && affinity.PodAntiAffinity == nil) {
		return fwk.QueueSkip, nil
	}
	return g.helps(logger, pod, oldObj, newObj)
}

// frees is helps for claims: those of the pod itself, and those that give their
// devices back. A claim that takes devices helps nobody.
func (g *Gang) frees(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, _ := oldObj.(*resourceapi.ResourceClaim)
	after, _ := newObj.(*resourceapi.ResourceClaim)
	freed := before != nil && before.Status.Allocation != nil && (after == nil || after.Status.Allocation == nil)
	switch {
	case freed || claimOf(pod, before) || claimOf(pod, after):
	case before == nil:
		if owner := metav1.GetControllerOfNoCopy(after); owner != nil {
			return g.elsewhere(pod, owner.UID)
		}
		return g.elsewhere(pod)
	default:
		return fwk.QueueSkip, nil
	}
	return g.helps(logger, pod, oldObj, newObj)
}

// claimOf says whether the pod names the claim, or has it made from a template. The
// queue asks about every pod that waits, at every change of a claim.
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

// podEvents keep the book up to date.
func (g *Gang) podEvents() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			g.podSeen(obj)
			if pod, ok := obj.(*v1.Pod); ok {
				g.cameToGroup(pod)
				if pod.Spec.NodeName == "" {
					g.noticeInGroup(pod)
				}
			}
		},
		UpdateFunc: g.podChanged,
		DeleteFunc: g.podGone,
	}
}

func (g *Gang) podSeen(obj any) {
	if pod, ok := obj.(*v1.Pod); ok {
		g.heed(g.book.upsert(pod), "member "+pod.Name+" changed")
	}
}

// podChanged tells a pod that went to another gang, or was replaced by its
// namesake while the watch was broken, from one that only changed.
func (g *Gang) podChanged(oldObj, obj any) {
	before, ok := oldObj.(*v1.Pod)
	after, isPod := obj.(*v1.Pod)
	if ok && isPod {
		was, _ := g.sources.Key(before)
		is, _ := g.sources.Key(after)
		if before.UID != after.UID || was != is {
			g.podGone(before)
		}
	}
	g.podSeen(obj)
}

func (g *Gang) podGone(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	if pod, ok := obj.(*v1.Pod); ok {
		g.forget(pod, g.book.remove)
	}
}

func (g *Gang) forget(pod *v1.Pod, how func(*v1.Pod) news) {
	n := how(pod)
	g.noticeInGroup(pod)
	g.heed(n, "member "+pod.Name+" was deleted")
	if key, ok := g.sources.Key(pod); ok && n.over {
		g.report.later(key) // to forget what was said of the gang
	}
}

// endedEvents keep members that are done in the book. One that failed is not
// there any more; its replacement is a pod of its own.
func (g *Gang) endedEvents() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    g.podEnded,
		UpdateFunc: func(_, obj any) { g.podEnded(obj) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if pod, ok := obj.(*v1.Pod); ok {
				g.forget(pod, g.book.erase)
			}
		},
	}
}

func (g *Gang) podEnded(obj any) {
	pod, ok := obj.(*v1.Pod)
	switch {
	case !ok:
	case done(pod):
		g.podSeen(pod)
	default:
		g.forget(pod, g.book.erase)
	}
}

// declarationChanged is called when the object that declares a gang changed.
func (g *Gang) declarationChanged(key gangs.Key) {
	g.heed(g.book.changed(key), "its declaration changed")
	g.report.later(key)
}

// heed acts on what the book made of an event.
func (g *Gang) heed(n news, reason string) {
	if n.ended != nil {
		g.giveUp(n.ended, reason)
	}
	g.activate(n.wake)
}

// activate moves pods into the active queue. It takes the queue's lock, so the
// book's must not be held.
func (g *Gang) activate(pods []*v1.Pod) {
	if len(pods) == 0 {
		return
	}
	byName := make(map[string]*v1.Pod, len(pods))
	for _, pod := range pods {
		byName[pod.Namespace+"/"+pod.Name] = pod
	}
	g.handle.Activate(g.logger, byName)
}
