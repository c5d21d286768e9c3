// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"strconv"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

const profile = "dovetail"

var epoch = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// member returns a pod that is ready to be placed. Its label names its gang, which has a
// quorum of least members. With an empty name the pod has no gang.
func member(gang, name string, least int) *v1.Pod {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ml", Name: name, UID: types.UID("uid-" + name), Generation: 1,
			CreationTimestamp: metav1.NewTime(epoch), Labels: map[string]string{},
		},
		Spec:   v1.PodSpec{SchedulerName: profile},
		Status: v1.PodStatus{Phase: v1.PodPending},
	}
	if gang != "" {
		pod.Labels[gangs.GangNameLabel] = gang
		pod.Annotations = map[string]string{gangs.GangMinAnnotation: strconv.Itoa(least)}
	}
	return pod
}

// placedOn returns a copy of the pod that is bound to the node.
func placedOn(pod *v1.Pod, node string) *v1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.NodeName = node
	return pod
}

// pluginWith returns the parts of the plugin that need no scheduler around it. Its tracker
// knows the pods, and its informer has them.
func pluginWith(t testing.TB, nodes []*v1.Node, pods ...*v1.Pod) *Gang {
	t.Helper()
	store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, node := range nodes {
		if err := store.Add(node); err != nil {
			t.Fatalf("storing node %s: %v", node.Name, err)
		}
	}
	existing := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	g := &Gang{
		sources: gangs.Sources{gangs.NewLabelSource()}, nodes: corelisters.NewNodeLister(store), pods: corelisters.NewPodLister(existing),
	}
	g.tracker = gangstate.New(gangstate.Options{Profile: profile, Sources: g.sources, Exists: func(*v1.Pod) bool { return true }})
	for _, pod := range pods {
		if err := existing.Add(pod); err != nil {
			t.Fatalf("storing pod %s: %v", pod.Name, err)
		}
		g.noteDependent(pod)
		g.tracker.Upsert(pod, epoch)
	}
	return g
}

// answer plans the gang at the given time, with the given answer.
func (g *Gang) answer(t testing.TB, key gangs.Key, answer *gangstate.Answer, at time.Time) {
	t.Helper()
	step := g.tracker.Ask(key, at)
	if step.Plan == nil {
		t.Fatalf("gang %s is not planned: %s", key, step.Refusal)
	}
	g.tracker.Resolve(step.Plan, answer, "", at)
}

// queued returns the pod as a queue entity.
func queued(t testing.TB, pod *v1.Pod, at time.Time) *framework.QueuedPodInfo {
	t.Helper()
	info, err := framework.NewPodInfo(pod)
	if err != nil {
		t.Fatalf("reading pod %s: %v", pod.Name, err)
	}
	return &framework.QueuedPodInfo{PodInfo: info, QueueingParams: framework.QueueingParams{Timestamp: at}}
}
