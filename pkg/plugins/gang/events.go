// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// podEvents pass pods to the tracker, which has the states of all gangs.
func (g *Gang) podEvents() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    g.podCreated,
		UpdateFunc: g.podUpdated,
		DeleteFunc: g.podDeleted,
	}
}

// podCreated handles a new pod. It also has the pod's gang reported, and mistakes in the pod's
// metadata. PreEnqueue is not enough for that: the queue asks the plugins in no fixed order, and
// not Gang if another one, such as DynamicResources, has kept the pod out.
func (g *Gang) podCreated(obj any) {
	g.podAdded(obj)
	if pod, ok := obj.(*v1.Pod); ok {
		g.reportWaiting(pod)
	}
}

func (g *Gang) podAdded(obj any) {
	if pod, ok := obj.(*v1.Pod); ok {
		g.noteDependent(pod)
		g.apply(g.tracker.Upsert(pod, time.Now()))
	}
}

// podUpdated handles a pod update. It treats a pod that moved to another gang, or was
// recreated while the watch was broken, as deleted and added.
func (g *Gang) podUpdated(oldObj, obj any) {
	before, ok := oldObj.(*v1.Pod)
	after, isPod := obj.(*v1.Pod)
	if ok && isPod {
		was, _ := g.sources.Key(before)
		is, _ := g.sources.Key(after)
		if before.UID != after.UID || was != is {
			g.podDeleted(before)
		}
	}
	g.podAdded(obj)
}

func (g *Gang) podDeleted(obj any) {
	if pod := deletedPod(obj); pod != nil {
		g.apply(g.tracker.Remove(pod, time.Now()))
	}
}

// namespaceEvents pass changes of namespaces to the tracker: the queue has no event for them.
func (g *Gang) namespaceEvents() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{UpdateFunc: func(oldObj, obj any) {
		before, ok := oldObj.(*v1.Namespace)
		after, isNamespace := obj.(*v1.Namespace)
		if ok && isNamespace {
			g.namespaceChanged(before, after)
		}
	}}
}

// endedEvents make the tracker remember members that have succeeded. The tracker forgets a
// member that failed, because its replacement is a pod of its own.
func (g *Gang) endedEvents() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    g.podEnded,
		UpdateFunc: func(_, obj any) { g.podEnded(obj) },
		DeleteFunc: func(obj any) { g.erase(deletedPod(obj)) },
	}
}

func (g *Gang) podEnded(obj any) {
	pod, ok := obj.(*v1.Pod)
	switch {
	case !ok:
	case pod.Status.Phase == v1.PodSucceeded:
		g.podAdded(pod)
	default:
		g.erase(pod)
	}
}

func (g *Gang) erase(pod *v1.Pod) {
	if pod != nil {
		g.apply(g.tracker.Erase(pod, time.Now()))
	}
}

// deletedPod returns the pod of a deletion event, nil if the object is not a pod.
func deletedPod(obj any) *v1.Pod {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	pod, _ := obj.(*v1.Pod)
	return pod
}
