// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/dynamic-resource-allocation/structured"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// The capacity of a node does not change with the pods and claims that use it.
func TestCapacityIgnoresUse(t *testing.T) {
	w := newWorld(t, 0)
	cache := w.cache()
	read := func() plan.Capacity {
		if _, err := cache.Read([]*v1.Pod{withClaim(pod("p", "1"), "two")}); err != nil {
			t.Fatal(err)
		}
		var capacity plan.Capacity
		if !cache.Capacity(w.nodes[0], &capacity) {
			t.Fatal("the capacity is unknown")
		}
		return capacity
	}
	idle := read()
	if cpu := w.nodes[0].GetAllocatable().GetMilliCPU(); idle.Resources[0] != cpu || cpu == 0 {
		t.Errorf("%d milli-cores, want %d", idle.Resources[0], cpu)
	}
	if diff := cmp.Diff([]int64{8, 8}, idle.Kinds); diff != "" {
		t.Errorf("devices of a node with eight GPUs and eight NICs (-want,+got):\n%s", diff)
	}
	busy, err := framework.NewPodInfo(pod("busy", "40"))
	if err != nil {
		t.Fatal(err)
	}
	w.nodes[0].AddPodInfo(busy)
	for _, slice := range w.dra.slices {
		for _, device := range slice.Spec.Devices {
			w.dra.taken.Insert(structured.MakeDeviceID(slice.Spec.Driver, slice.Spec.Pool.Name, device.Name))
		}
	}
	if diff := cmp.Diff(idle, read()); diff != "" {
		t.Errorf("in use (-want,+got):\n%s", diff)
	}
}
