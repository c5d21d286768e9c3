// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// manyOrFew returns a claim for 8 GPUs or else 4.
func manyOrFew(name string) *resourceapi.ResourceClaim {
	c := claim(name)
	c.ResourceVersion = "1"
	request := resourceapi.DeviceRequest{Name: "gpu"}
	for _, sub := range []struct {
		name  string
		count int64
	}{{"many", 8}, {"few", 4}} {
		request.FirstAvailable = append(request.FirstAvailable, resourceapi.DeviceSubRequest{
			Name: sub.name, DeviceClassName: "gpu.nvidia.com", Count: sub.count, AllocationMode: resourceapi.DeviceAllocationModeExactCount,
		})
	}
	c.Spec.Devices.Requests = []resourceapi.DeviceRequest{request}
	return c
}

// planned starts the cycle of a member with a plan.
func (w *world) planned(p plugin, name string, c *resourceapi.ResourceClaim, chosen gangs.Subrequests) *trip {
	t := w.trip(p, podWith(name, c))
	t.node = firstNode()
	cluster.SetPlanned(t.state, cluster.Planned{Node: t.node, Rail: -1, Gang: "ml/flex", Subrequests: chosen})
	return t
}

// cycle runs a planned member's cycle up to Reserve, and returns the refusal.
func (t *trip) cycle() string {
	if t.look(); t.said[t.node] != "" {
		return t.said[t.node]
	}
	return t.reserve()
}

// The first of two members on a node of 8 GPUs would get all of them.
func TestAllocationFollowsThePlan(t *testing.T) {
	a, b := manyOrFew("a"), manyOrFew("b")
	w := newWorld(t, "shape=ndh100v5,spines=1,leaves=1,nodes=1", a, b)
	p := w.ours()
	const few = gangs.Subrequests("claim-0/gpu/few")
	first, second := w.planned(p, "first", a, few), w.planned(p, "second", b, few)
	for _, member := range []*trip{first, second} {
		if refusal := member.cycle(); refusal != "" {
			t.Fatalf("pod %s: %s", member.pod.Name, refusal)
		}
	}
	for _, c := range []*resourceapi.ResourceClaim{a, b} {
		if got := first.devices(c); len(got) != 4 {
			t.Errorf("claim %s has devices %v, want 4", c.Name, got)
		}
		allocation := w.handle.manager.ResourceClaims().GetPendingAllocation(c.UID)
		if got := allocation.Devices.Results[0].Request; got != "gpu/few" {
			t.Errorf("claim %s has devices for request %s", c.Name, got)
		}
	}
	// The API server would refuse an update that changes the spec.
	if status := first.plugin.(fwk.PreBindPlugin).PreBind(context.Background(), first.state, first.pod, first.node); !status.IsSuccess() {
		t.Fatal(status.Message())
	}
	written, err := w.handle.client.ResourceV1().ResourceClaims(a.Namespace).Get(t.Context(), a.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Spec, written.Spec); diff != "" || written.Status.Allocation == nil {
		t.Errorf("the claim as written, spec (-want,+got):\n%s\nstatus %v", diff, written.Status)
	}
}

// A plan for the first subrequest is not met by the second.
func TestNothingElseIsAllocated(t *testing.T) {
	a, b := manyOrFew("a"), manyOrFew("b")
	w := newWorld(t, "shape=ndh100v5,spines=1,leaves=1,nodes=1", a, b)
	p := w.ours()
	if refusal := w.planned(p, "first", a, "claim-0/gpu/few").cycle(); refusal != "" {
		t.Fatal(refusal)
	}
	if refusal := w.planned(p, "second", b, "claim-0/gpu/many").cycle(); refusal == "" {
		t.Error("a node with 4 free GPUs has room for 8")
	}
	third := w.planned(p, "third", b, "")
	if refusal := third.cycle(); refusal != "" || len(third.devices(b)) != 4 {
		t.Errorf("without a choice: %q", refusal)
	}
}
