// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// filterCounter is a Filter plugin that admits every pod and counts its calls. Filters run
// in sequence until one rejects the node. The last filter therefore counts the nodes for
// which all stock filters ran.
type filterCounter struct {
	calls atomic.Int64
	mu    sync.Mutex
	nodes map[string]int
}

func (c *filterCounter) Name() string { return "FilterCounter" }

func (c *filterCounter) use(fwk.Handle) {}

func (c *filterCounter) Filter(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, _ fwk.NodeInfo) *fwk.Status {
	c.calls.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[pod.Namespace+"/"+pod.Name]++
	return nil
}

// A gang of 500 is scheduled on 500 nodes. After the plan, the filters must run on one node
// for each member. During the plan, they must run only for the nodes that the planner is
// about to use.
func TestFiltersSeeOneNodeForEachPod(t *testing.T) {
	const size = 500
	e := alone(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, "shape=plain,spines=5,leaves=10,nodes=10")},
		Without: withoutSchedulers,
	})
	counter := &filterCounter{nodes: map[string]int{}}
	e.runScheduler(t, counter)
	e.podGroup("wide", size, nil)
	began := time.Now()
	e.createPods(members("wide", size, asking("20", "1Gi"))...)
	e.Whole(groupLabel+"=wide", size)
	took := time.Since(began)

	if nodes := len(e.Domains(groupLabel+"=wide", corev1.LabelHostname)); nodes != size {
		t.Errorf("the gang is on %d nodes, want %d", nodes, size)
	}
	calls := counter.calls.Load()
	most := 0
	for _, n := range counter.nodes {
		most = max(most, n)
	}
	t.Logf("%d pods on %d nodes in %v: filters ran for %d (pod, node) pairs, %.2f nodes for each pod; pods x nodes is %d; the planner's own questions, asked by one pod, are among them: %d for that pod",
		size, size, took.Round(time.Millisecond), calls, float64(calls)/size, size*size, most)
	// One call for each pod, one for each node that the planner is about to use, and one for
	// each member in the proof of the plan: the planner does not know what this filter counts.
	if limit := int64(3*size + size/10); calls > limit {
		t.Errorf("filters ran for %d (pod, node) pairs, want at most %d", calls, limit)
	}
}
