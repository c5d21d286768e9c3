// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	fwk "k8s.io/kube-scheduler/framework"
	stockconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources"
)

// eitherClaim requests pairs or, as a second choice, one GPU less. The in-tree plugin
// scores the order of the alternatives.
func eitherClaim(name string) *resourceapi.ResourceClaim {
	c := claim(name, "4 rdma.dranet.net")
	gpus := resourceapi.DeviceRequest{Name: "gpus"}
	for count := int64(4); count > 2; count-- {
		gpus.FirstAvailable = append(gpus.FirstAvailable, resourceapi.DeviceSubRequest{
			Name: fmt.Sprintf("gpus-%d", count), DeviceClassName: "gpu.nvidia.com", Count: count,
			AllocationMode: resourceapi.DeviceAllocationModeExactCount,
		})
	}
	c.Spec.Devices.Requests = append([]resourceapi.DeviceRequest{gpus}, c.Spec.Devices.Requests...)
	return c
}

// scoring is a pod's cycle just before Score.
type scoring struct {
	name  string
	score func(fwk.NodeInfo) (int64, *fwk.Status)
}

// all scores every node. Benchmarks time it, so it does nothing else.
func (s scoring) all(t testing.TB, nodes []fwk.NodeInfo) {
	for _, info := range nodes {
		if _, status := s.score(info); !status.IsSuccess() {
			t.Fatalf("%s: %v", s.name, status)
		}
	}
}

// toScore runs a pod with the claim up to Score, for DRAAware and for two in-tree plugins
// on one cluster.
func toScore(w *world, c *resourceapi.ResourceClaim) []scoring {
	w.Helper()
	pod := podWith("pod", c)
	pod.Spec.Containers[0].Resources.Requests = v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("8"), v1.ResourceMemory: resource.MustParse("64Gi"),
	}
	list := []scoring{{name: "NodeResourcesFit", score: fitScore(w, pod)}}
	for _, test := range []struct {
		name string
		p    plugin
	}{{"DynamicResources", w.stock()}, {"DRAAware", w.ours()}} {
		trip := w.trip(test.p, pod)
		if feasible := trip.look(); len(feasible) != len(w.nodes) {
			w.Fatalf("%s: %d of %d nodes will do: %v", test.name, len(feasible), len(w.nodes), trip.said)
		}
		if p, ok := test.p.(fwk.PreScorePlugin); ok {
			if status := p.PreScore(context.Background(), trip.state, pod, w.nodes); !status.IsSuccess() {
				w.Fatal(status)
			}
		}
		list = append(list, scoring{name: test.name, score: func(info fwk.NodeInfo) (int64, *fwk.Status) {
			return test.p.Score(context.Background(), trip.state, pod, info)
		}})
	}
	return list
}

func fitScore(w *world, pod *v1.Pod) func(fwk.NodeInfo) (int64, *fwk.Status) {
	ctx, state := context.Background(), framework.NewCycleState()
	p, err := noderesources.NewFit(ctx, &stockconfig.NodeResourcesFitArgs{ScoringStrategy: &stockconfig.ScoringStrategy{
		Type:      stockconfig.LeastAllocated,
		Resources: []stockconfig.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}},
	}}, w.handle, feature.Features{})
	if err != nil {
		w.Fatal(err)
	}
	if status := p.(fwk.PreScorePlugin).PreScore(ctx, state, pod, w.nodes); !status.IsSuccess() {
		w.Fatal(status)
	}
	return func(info fwk.NodeInfo) (int64, *fwk.Status) { return p.(fwk.ScorePlugin).Score(ctx, state, pod, info) }
}

func scoreCases() map[string]*resourceapi.ResourceClaim {
	return map[string]*resourceapi.ResourceClaim{
		"pairs":        claim("pairs", "4 gpu.nvidia.com", "4 rdma.dranet.net"),
		"alternatives": eitherClaim("alternatives"),
	}
}

// Scoring a node does not allocate. With alternatives in the claim, the only allocations
// are those of the in-tree plugin's score.
func TestScoreAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes allocations of its own")
	}
	const fleetText = "shape=ndh100v5,spines=1,leaves=2,nodes=10"
	for name, c := range scoreCases() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fleetText, append(halfTaken(t, fleetText), c)...)
			made := map[string]float64{}
			for _, scored := range toScore(w, c) {
				made[scored.name] = testing.AllocsPerRun(20, func() { scored.all(t, w.nodes) })
			}
			t.Logf("allocations for %d nodes: %v", len(w.nodes), made)
			var want float64
			if name == "alternatives" {
				want = made["DynamicResources"]
			}
			if made["DRAAware"] != want {
				t.Errorf("scoring %d nodes makes %v allocations, want %v", len(w.nodes), made["DRAAware"], want)
			}
		})
	}
}

// The benchmark compares the score of one node by DRAAware and by two in-tree plugins,
// after the same filtering of the same nodes. Read ns/node.
func BenchmarkScore(b *testing.B) {
	for _, nodes := range []int{100, 1000, 5000} {
		for name, c := range scoreCases() {
			fleetText := fmt.Sprintf("shape=ndh100v5,spines=1,leaves=%d,nodes=10", nodes/10)
			w := newWorld(b, fleetText, append(halfTaken(b, fleetText), c)...)
			for _, scored := range toScore(w, c) {
				b.Run(fmt.Sprintf("nodes=%d/claim=%s/plugin=%s", nodes, name, scored.name), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						scored.all(b, w.nodes)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(nodes), "ns/node")
				})
			}
		}
	}
}
