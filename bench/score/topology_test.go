// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package score_test

import (
	"context"
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/plugins/topology"
)

// gpu is an extended resource of a device plugin. The Topology plugin scores only pods with
// devices.
const gpu = "example.com/gpu"

// handle is the part of the framework's handle that the plugin uses.
type handle struct {
	fwk.Handle
	nodes fwk.SharedLister
}

func (h handle) SnapshotSharedLister() fwk.SharedLister { return h.nodes }

// scorer is the Topology plugin after PreScore of a pod.
type scorer struct {
	plugin fwk.ScorePlugin
	state  fwk.CycleState
	pod    *v1.Pod
	infos  []fwk.NodeInfo
}

func newScorer(tb testing.TB, nodes int) *scorer {
	tb.Helper()
	objects := make([]*v1.Node, nodes)
	for i := range objects {
		objects[i] = nodeInfo(i).Node()
		objects[i].Labels = map[string]string{
			"network.topology.nvidia.com/spine": fmt.Sprint("s", i/200), "network.topology.nvidia.com/leaf": fmt.Sprint("l", i/20),
		}
		objects[i].Status.Allocatable[gpu] = resource.MustParse("8")
	}
	seen := cache.NewSnapshot(nil, objects)
	plugin, err := topology.New(context.Background(), nil, handle{nodes: seen}, &cluster.Profile{})
	if err != nil {
		tb.Fatal(err)
	}
	s := &scorer{plugin: plugin.(fwk.ScorePlugin), state: framework.NewCycleState(), pod: &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod", UID: "pod"},
		Spec: v1.PodSpec{Containers: []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
			v1.ResourceCPU: resource.MustParse("4"), gpu: resource.MustParse("1"),
		}}}}},
	}}
	if s.infos, err = seen.NodeInfos().List(); err != nil {
		tb.Fatal(err)
	}
	if status := plugin.(fwk.PreScorePlugin).PreScore(context.Background(), s.state, s.pod, s.infos); !status.IsSuccess() {
		tb.Fatal(status)
	}
	return s
}

// all scores every node.
func (s *scorer) all(tb testing.TB) {
	for _, info := range s.infos {
		if _, status := s.plugin.Score(context.Background(), s.state, s.pod, info); !status.IsSuccess() {
			tb.Fatal(status)
		}
	}
}

// The Topology plugin must score nodes without allocating memory. The same test for
// DRAAware is in its package.
func TestTopologyScoreAllocatesNothing(t *testing.T) {
	s := newScorer(t, 100)
	if made := testing.AllocsPerRun(20, func() { s.all(t) }); made != 0 {
		t.Errorf("scoring 100 nodes makes %v allocations", made)
	}
}

func topologyPlugin(b *testing.B, nodes int) {
	s := newScorer(b, nodes)
	s.all(b) // the first pod of a shape is counted; later pods use its counts
	b.ReportAllocs()
	for b.Loop() {
		s.all(b)
	}
	perNode(b, nodes)
}

// BenchmarkSnapshot measures PreScore of the Topology plugin when no node has changed. A
// gang's plan begins with the same check of every node.
func BenchmarkSnapshot(b *testing.B) {
	for _, nodes := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			s := newScorer(b, nodes)
			b.ReportAllocs()
			for b.Loop() {
				if status := s.plugin.(fwk.PreScorePlugin).PreScore(context.Background(), s.state, s.pod, s.infos); !status.IsSuccess() {
					b.Fatal(status)
				}
			}
			perNode(b, nodes)
		})
	}
}
