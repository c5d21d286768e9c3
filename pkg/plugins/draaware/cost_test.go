// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"fmt"
	"strings"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
)

// claimWithSelectors returns a claim for a GPU with a selector of n x n additions.
func claimWithSelectors(name string, n int) *resourceapi.ResourceClaim {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]"
	c := claim(name, "1 gpu.nvidia.com")
	c.Spec.Devices.Requests[0].Exactly.Selectors = []resourceapi.DeviceSelector{{CEL: &resourceapi.CELDeviceSelector{
		Expression: fmt.Sprintf("!%s.exists(x, %s.exists(y, x + y == 5))", list, list),
	}}}
	return c
}

// A pod with a costly selector is refused in PreFilter. The in-tree plugin, which would
// evaluate the selector for each device of each node, accepts the pod. A pod with a selector
// within the limit is placed.
func TestCostlySelectorNeverReachesTheAllocator(t *testing.T) {
	costly, cheap := claimWithSelectors("costly", 40), claimWithSelectors("cheap", 10)
	w := newWorld(t, "shape=ndh100v5,spines=1,leaves=1,nodes=2", costly, cheap)
	if feasible := w.trip(w.stock(), podWith("first", costly)).look(); len(feasible) != 2 {
		t.Fatalf("stock finds nodes %v, want 2: the selector is no good example", feasible)
	}
	p := w.ours()
	refused := w.trip(p, podWith("second", costly))
	const want = "claim ml/costly: request gpu-nvidia-com-0: selector 0 costs more than 5000 CEL cost units on a device, the most that a pod's selectors may cost"
	if feasible := refused.look(); len(feasible) != 0 || refused.said[firstNode()] != want {
		t.Errorf("nodes %v, refusal %q, want %q", feasible, refused.said[firstNode()], want)
	}
	if feasible := w.trip(p, podWith("third", cheap)).look(); len(feasible) != 2 {
		t.Errorf("a selector within the limit: nodes %v, want 2", feasible)
	}
}
