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
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// BenchmarkScore scores every node for one pod. Compare ns/node.
func BenchmarkScore(b *testing.B) {
	for _, nodes := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("nodes=%d/plugin=plan", nodes), func(b *testing.B) { ours(b, nodes) })
		b.Run(fmt.Sprintf("nodes=%d/plugin=Topology", nodes), func(b *testing.B) { topologyPlugin(b, nodes) })
		b.Run(fmt.Sprintf("nodes=%d/plugin=NodeResourcesFit", nodes), func(b *testing.B) { stock(b, nodes) })
	}
}

// cpus returns the number of free CPUs of a node. The number varies by node.
func cpus(i int) int64 { return 96 - int64(i%7)*8 }

func name(i int) string { return fmt.Sprintf("node-%05d", i) }

func ours(b *testing.B, nodes int) {
	st, err := plan.NewState(plan.Layout{
		Levels:    []plan.Level{{Name: "spine"}, {Name: "leaf"}},
		Resources: []string{"cpu", "memory", "pods"}, Kinds: []string{"gpu", "nic"},
	})
	if err != nil {
		b.Fatal(err)
	}
	names := make([]string, nodes)
	for i := range names {
		names[i] = name(i)
		pair := plan.Unit{Free: []int{1, 1}}
		if err := st.Upsert(plan.NodeSpec{
			Name: names[i], Domains: []string{fmt.Sprint("s", i/200), fmt.Sprint("l", i/20)},
			Free: []int64{cpus(i) * 1000, 1 << 40, 110}, Units: []plan.Unit{pair, pair, pair, pair}[i%3:],
		}); err != nil {
			b.Fatal(err)
		}
	}
	snap := st.Freeze()
	need := plan.Need{
		Resources: []int64{4000, 1 << 30, 1},
		Devices:   []plan.DeviceNeed{{Kinds: []int{0}, Count: 1}, {Kinds: []int{1}, Count: 1}},
	}
	if a, c := plan.Score(snap, need, names[2]), plan.Score(snap, need, names[0]); a <= c {
		b.Fatalf("the fuller node scores %d, the emptier %d", a, c)
	}
	if n := testing.AllocsPerRun(10, func() { plan.Score(snap, need, names[0]) }); n != 0 {
		b.Fatalf("%v allocations", n)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, n := range names {
			plan.Score(snap, need, n)
		}
	}
	perNode(b, nodes)
}

func stock(b *testing.B, nodes int) {
	ctx := context.Background()
	fit, err := noderesources.NewFit(ctx, &config.NodeResourcesFitArgs{ScoringStrategy: &config.ScoringStrategy{
		Type:      config.MostAllocated,
		Resources: []config.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}},
	}}, nil, feature.Features{})
	if err != nil {
		b.Fatal(err)
	}
	pod := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("4"), v1.ResourceMemory: resource.MustParse("1Gi"),
	}}}}}}
	infos := make([]fwk.NodeInfo, nodes)
	for i := range infos {
		infos[i] = nodeInfo(i)
	}
	state := framework.NewCycleState()
	if s := fit.(fwk.PreScorePlugin).PreScore(ctx, state, pod, infos); !s.IsSuccess() {
		b.Fatal(s)
	}
	score := fit.(fwk.ScorePlugin)
	b.ReportAllocs()
	for b.Loop() {
		for _, n := range infos {
			if _, s := score.Score(ctx, state, pod, n); !s.IsSuccess() {
				b.Fatal(s)
			}
		}
	}
	perNode(b, nodes)
}

func nodeInfo(i int) fwk.NodeInfo {
	info := framework.NewNodeInfo()
	info.SetNode(&v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name(i)},
		Status: v1.NodeStatus{Allocatable: v1.ResourceList{
			v1.ResourceCPU: *resource.NewQuantity(cpus(i), resource.DecimalSI), v1.ResourceMemory: resource.MustParse("1Ti"),
			v1.ResourcePods: resource.MustParse("110"),
		}},
	})
	return info
}

func perNode(b *testing.B, nodes int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(nodes), "ns/node")
}
