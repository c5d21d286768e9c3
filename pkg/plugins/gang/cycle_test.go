// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"sync"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	schedulercache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/placement"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/report"
)

// countingLock counts its Lock calls.
type countingLock struct {
	sync.Mutex
	taken int
}

func (l *countingLock) Lock() {
	l.Mutex.Lock()
	l.taken++
}

// acceptingHandle is a framework whose filters accept every node.
type acceptingHandle struct {
	benchHandle
	activated int
}

func (h *acceptingHandle) ProfileName() string { return profile }
func (h *acceptingHandle) Activate(_ klog.Logger, pods map[string]*v1.Pod) {
	h.activated += len(pods)
}
func (h *acceptingHandle) RunPreFilterPlugins(context.Context, fwk.CycleState, *v1.Pod) (*fwk.PreFilterResult, *fwk.Status, sets.Set[string]) {
	return nil, nil, nil
}
func (h *acceptingHandle) RunPreFilterExtensionAddPod(context.Context, fwk.CycleState, *v1.Pod, fwk.PodInfo, fwk.NodeInfo) *fwk.Status {
	return nil
}
func (h *acceptingHandle) RunFilterPlugins(context.Context, fwk.CycleState, *v1.Pod, fwk.NodeInfo) *fwk.Status {
	return nil
}

// A PreFilter that plans takes the tracker's lock twice, with or without room. A PreFilter
// of a planned member takes it once.
func TestPreFilterTakesTheLockTwice(t *testing.T) {
	for name, test := range map[string]struct {
		nodes, locks, activated int
		placed                  bool
	}{
		"there is room":    {nodes: 4, locks: 2, activated: 4, placed: true},
		"there is no room": {nodes: 3, locks: 2},
	} {
		t.Run(name, func(t *testing.T) {
			g, handle, lock, infos := planningPlugin(t, test.nodes)
			first := member("a", "m0", 4)
			lock.taken = 0
			result, status := g.PreFilter(t.Context(), framework.NewCycleState(), first, infos)
			if placed := status.IsSuccess() && len(result.NodeNames) == 1; placed != test.placed {
				t.Fatalf("PreFilter returned %v, %v", result, status)
			}
			if lock.taken > test.locks {
				t.Errorf("the lock was taken %d times, want %d at most", lock.taken, test.locks)
			}
			if handle.activated != test.activated {
				t.Errorf("%d members were activated, want %d", handle.activated, test.activated)
			}
			lock.taken = 0
			g.PreFilter(t.Context(), framework.NewCycleState(), member("a", "m1", 4), infos)
			if lock.taken > 1 {
				t.Errorf("for another member the lock was taken %d times, want 1", lock.taken)
			}
		})
	}
}

// planningPlugin returns a plugin that plans a gang of four pods, which need a node each,
// on count nodes.
func planningPlugin(t *testing.T, count int) (*Gang, *acceptingHandle, *countingLock, []fwk.NodeInfo) {
	t.Helper()
	full := v1.ResourceList{v1.ResourceCPU: resource.MustParse("4"), v1.ResourcePods: resource.MustParse("10")}
	var nodes []*v1.Node
	for i := range count {
		nodes = append(nodes, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i)}, Status: v1.NodeStatus{Allocatable: full}})
	}
	snapshot := schedulercache.NewSnapshot(nil, nodes)
	infos, err := snapshot.NodeInfos().List()
	if err != nil {
		t.Fatal(err)
	}
	g, handle, lock := pluginWith(t, nodes), &acceptingHandle{}, &countingLock{}
	handle.nodes = snapshot
	g.tracker = gangstate.New(gangstate.Options{Profile: profile, Sources: g.sources, Exists: func(*v1.Pod) bool { return true }, Lock: lock})
	for i := range 4 {
		pod := member("a", fmt.Sprint("m", i), 4)
		pod.Spec.Containers = []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("4")}}}}
		g.tracker.Upsert(pod, epoch)
	}
	g.handle, g.args = handle, &config.GangArgs{}
	g.placer = placement.New(handle, &cluster.Profile{}, placement.Options{SearchBudget: 10000})
	g.report = report.New(handle, 0, g.status)
	g.recovered.Do(func() {})
	return g, handle, lock, infos
}
