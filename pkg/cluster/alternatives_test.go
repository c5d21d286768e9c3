// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func eitherOf(name string, subrequests ...string) resourceapi.DeviceRequest {
	request := resourceapi.DeviceRequest{Name: name}
	for i, sub := range subrequests {
		request.FirstAvailable = append(request.FirstAvailable, resourceapi.DeviceSubRequest{
			Name: sub, DeviceClassName: "gpu", Count: int64(8 >> i),
		})
	}
	return request
}

// The later of two requests gives way first, as in the allocator.
func TestWaysToChooseAreInOrderOfPreference(t *testing.T) {
	ways := []Alternative{{}}
	for _, request := range []resourceapi.DeviceRequest{eitherOf("x", "a", "b"), eitherOf("y", "c", "d")} {
		ways = combine(ways, "d", &request)
	}
	got := map[string]string{}
	var order []string
	for _, way := range ways {
		order = append(order, string(way.Subrequests))
		got[string(way.Subrequests)] = way.Asks
	}
	if diff := cmp.Diff([]string{"d/x/a d/y/c", "d/x/a d/y/d", "d/x/b d/y/c", "d/x/b d/y/d"}, order); diff != "" {
		t.Errorf("(-want,+got)\n%s", diff)
	}
	if want := "8 of class gpu and 4 of class gpu"; got["d/x/a d/y/d"] != want {
		t.Errorf("asks for %q, want %q", got["d/x/a d/y/d"], want)
	}
}

func TestNarrow(t *testing.T) {
	name := "made-for-p"
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml"}}
	pod.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "d", ResourceClaimName: &name}}
	claim := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name}}
	claim.Spec.Devices.Requests = []resourceapi.DeviceRequest{eitherOf("x", "a", "b"), eitherOf("y", "c", "d"), {Name: "z"}}
	before := claim.DeepCopy()

	want := claim.DeepCopy()
	want.Spec.Devices.Requests[0].FirstAvailable = want.Spec.Devices.Requests[0].FirstAvailable[1:]
	if diff := cmp.Diff(want, Narrow(pod, claim, "d/x/b e/y/c")); diff != "" {
		t.Errorf("(-want,+got)\n%s", diff)
	}
	if Narrow(pod, claim, "") != claim || Narrow(pod, claim, "e/x/b d/y/a") != claim {
		t.Error("a claim for which nothing is chosen is copied")
	}
	claim.Status.Allocation = &resourceapi.AllocationResult{}
	if Narrow(pod, claim, "d/x/b") != claim {
		t.Error("a claim with devices is copied")
	}
	claim.Status.Allocation = nil
	if diff := cmp.Diff(before, claim); diff != "" {
		t.Errorf("the claim itself changed (-want,+got)\n%s", diff)
	}
}
