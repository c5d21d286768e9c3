// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"

	v1 "k8s.io/api/core/v1"
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
	events := []fwk.ClusterEvent{
		// A node with room, or with the labels of a better domain.
		{Resource: fwk.Node, ActionType: grown},
		// A pod that gives its room back.
		{Resource: fwk.AssignedPod, ActionType: fwk.Delete | fwk.UpdatePodScaleDown},
		// A label of a running pod that an affinity of a member waits for.
		{Resource: fwk.AssignedPod, ActionType: fwk.Add | fwk.UpdatePodLabel},
		// A member that now tolerates or wants something else.
		{Resource: fwk.TargetPod, ActionType: fwk.Update},
		// Devices that appear, are described otherwise, or are given back.
		{Resource: fwk.ResourceSlice, ActionType: fwk.Add | fwk.Update},
		{Resource: fwk.ResourceClaim, ActionType: fwk.Add | fwk.Update | fwk.Delete},
		{Resource: fwk.DeviceClass, ActionType: fwk.Add | fwk.Update},
		// Volumes that a member waits for.
		{Resource: fwk.PersistentVolumeClaim, ActionType: fwk.Add | fwk.Update},
		{Resource: fwk.PersistentVolume, ActionType: fwk.Add | fwk.Update},
		{Resource: fwk.StorageClass, ActionType: fwk.Add},
		{Resource: fwk.CSINode, ActionType: fwk.Add | fwk.Update},
	}
	hints := make([]fwk.ClusterEventWithHint, len(events))
	for i, event := range events {
		hints[i] = fwk.ClusterEventWithHint{Event: event, QueueingHintFn: g.helps}
	}
	return hints, nil
}

// helps wakes one member of a refused gang: if the gang can be planned now, the
// plan activates the others. What members of the same gang give back helps
// nobody in it, or a refused gang would wake itself for ever.
func (g *Gang) helps(_ klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	key, ok := g.sources.Key(pod)
	if !ok {
		return fwk.Queue, nil
	}
	for _, obj := range []any{oldObj, newObj} {
		other, isPod := obj.(*v1.Pod)
		if !isPod || other == nil {
			continue
		}
		if other.UID == pod.UID {
			g.book.forgive(key, pod.UID)
			return fwk.Queue, nil // the pod itself is not what it was
		}
		if k, ok := g.sources.Key(other); ok && k == key {
			return fwk.QueueSkip, nil
		}
	}
	if g.book.forgive(key, pod.UID) {
		return fwk.Queue, nil
	}
	return fwk.QueueSkip, nil
}

// podEvents keep the book up to date.
func (g *Gang) podEvents() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { g.podSeen(obj) },
		UpdateFunc: func(_, obj any) { g.podSeen(obj) },
		DeleteFunc: g.podGone,
	}
}

func (g *Gang) podSeen(obj any) {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return
	}
	if gangs.Placed(pod) {
		if key, ok := g.sources.Key(pod); ok {
			g.book.bound(key, pod.UID)
		}
	}
	g.activate(g.book.upsert(pod))
}

func (g *Gang) podGone(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return
	}
	att, others := g.book.remove(pod)
	if att != nil {
		g.giveUp(att, "member "+pod.Name+" was deleted")
	}
	g.activate(others)
}

// declarationChanged is called when the object that declares a gang changed.
func (g *Gang) declarationChanged(key gangs.Key) {
	g.activate(g.book.changed(key))
	g.report.later(key)
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
