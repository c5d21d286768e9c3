// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/structured"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// allocate gives a claim two GPUs of the world's first node, for these pods.
func (w *world) allocate(claim string, next *int, users ...string) {
	c := twoGPUs(claim)
	node := w.nodes[0].Node().Name
	c.Status.Allocation = &resourceapi.AllocationResult{NodeSelector: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchFields: []v1.NodeSelectorRequirement{{Key: "metadata.name", Operator: v1.NodeSelectorOpIn, Values: []string{node}}},
	}}}}
	for _, s := range w.dra.slices {
		if s.Spec.NodeName == nil || *s.Spec.NodeName != node || s.Spec.Driver != "gpu.nvidia.com" {
			continue
		}
		for range 2 {
			device := s.Spec.Devices[*next].Name
			*next++
			c.Status.Allocation.Devices.Results = append(c.Status.Allocation.Devices.Results, resourceapi.DeviceRequestAllocationResult{
				Driver: s.Spec.Driver, Pool: s.Spec.Pool.Name, Device: device,
			})
			w.dra.taken.Insert(structured.MakeDeviceID(s.Spec.Driver, s.Spec.Pool.Name, device))
		}
	}
	for _, user := range users {
		c.Status.ReservedFor = append(c.Status.ReservedFor, resourceapi.ResourceClaimConsumerReference{Resource: "pods", Name: user, UID: types.UID(user)})
	}
	w.dra.claims[claim] = c
}

// devicesIn counts the devices of usages.
func devicesIn(uses []plan.Usage) int {
	sum := 0
	for _, u := range uses {
		for _, unit := range u.Units {
			for _, n := range unit.Free {
				sum += n
			}
		}
	}
	return sum
}

// Claims are free with the set of their users, with the last of several sets, or not at all if a
// user is in no set. Claims whose users are gone are free without anybody leaving.
func TestUsages(t *testing.T) {
	w := newWorld(t, 1)
	next := 0
	w.allocate("own", &next, "a")
	w.allocate("both", &next, "a", "b")
	w.allocate("stays", &next, "a", "other")
	w.allocate("idle", &next, "gone")
	var sets [][]cluster.RunningPod
	for _, name := range []string{"a", "b"} {
		info, err := framework.NewPodInfo(pod(name, "3"))
		if err != nil {
			t.Fatal(err)
		}
		w.nodes[0].AddPodInfo(info)
		sets = append(sets, []cluster.RunningPod{{Info: info, Node: w.nodes[0]}})
	}
	cache := w.cache()
	if _, err := cache.Read([]*v1.Pod{withClaim(pod("asks", "1"), "two")}); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.Refresh(w.infos(), nil); err != nil {
		t.Fatal(err)
	}
	usages, err := cache.Usages(sets, func(_, name string, _ types.UID) bool { return name != "gone" })
	if err != nil {
		t.Fatal(err)
	}
	got := []int{devicesIn(usages.Sets[0]), devicesIn(usages.Sets[1]), devicesIn(usages.Idle)}
	if diff := cmp.Diff([]int{2, 0, 2}, got); diff != "" {
		t.Errorf("devices of both sets, and without users (-want,+got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{2, 0}, usages.Devices); diff != "" {
		t.Errorf("counted devices (-want,+got):\n%s", diff)
	}
	if len(usages.Shared) != 1 || usages.Shared[0].Claim.Name != "both" || devicesIn(usages.Shared[0].Uses) != 2 {
		t.Fatalf("shared claims: %+v", usages.Shared)
	}
	if diff := cmp.Diff([]int{0, 1}, usages.Shared[0].Sets); diff != "" {
		t.Errorf("sets of the shared claim (-want,+got):\n%s", diff)
	}
	for i := range sets {
		if cpu, pods := usages.Sets[i][0].Resources[0], usages.Sets[i][0].Resources[3]; cpu != 3000 || pods != 1 {
			t.Errorf("set %d takes %d milli-CPU and %d pods, want 3000 and 1", i, cpu, pods)
		}
	}
}
