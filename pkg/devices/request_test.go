// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/devices"
)

// drawOption returns an option as "2 gpu of GPU, ...; limits".
func drawOption(view *devices.View, option devices.Option) string {
	var parts []string
	for _, demand := range option.Demands {
		var labels []string
		for _, kind := range demand.Kinds {
			labels = append(labels, view.Kinds[kind].Label)
		}
		parts = append(parts, fmt.Sprintf("%d %s of %s", demand.Count, demand.Name, strings.Join(labels, "|")))
	}
	for _, limit := range option.PodLimits {
		name, _, _ := strings.Cut(view.PodLimits[limit], "{")
		parts = append(parts, "limit "+name)
	}
	return strings.Join(parts, ", ")
}

func TestRequest(t *testing.T) {
	admin := wants("watch", "gpu", 4)
	admin.Exactly.AdminAccess = ptr.To(true)
	tests := map[string]struct {
		claims []*resourceapi.ResourceClaim
		want   []string
		rdma   bool
	}{
		"nothing": {},
		"GPUs and NICs of one claim": {
			[]*resourceapi.ResourceClaim{claim("c", wants("nic", "nic", 8), wants("gpu", "gpu", 8))},
			[]string{"8 gpu of GPU, 8 nic of RDMA NIC"}, true,
		},
		"two claims for the same class add up": {
			[]*resourceapi.ResourceClaim{claim("a", wants("gpu", "gpu", 1)), claim("b", wants("x", "gpu", 2), wants("y", "gpu", 1))},
			[]string{"4 gpu of GPU"}, false,
		},
		"admin access needs nothing": {[]*resourceapi.ResourceClaim{claim("c", admin)}, nil, false},
		"a selector that nothing satisfies": {
			[]*resourceapi.ResourceClaim{claim("c", wants("gpu", "gpu", 1, `device.attributes["gpu.nvidia.com"].uuid == "none"`))},
			[]string{"1 gpu of "}, false,
		},
		"a selector for a part splits the kind": {
			[]*resourceapi.ResourceClaim{claim("c", wants("a", "gpu", 1), wants("b", "gpu", 1, `device.attributes["resource.kubernetes.io"].numaNode == 0`))},
			[]string{"1 gpu of GPU|GPU, 1 gpu of GPU"}, false,
		},
		"one of several single devices is one demand": {
			[]*resourceapi.ResourceClaim{claim("c", wantsFirst("any", wants("", "nic", 1), wants("", "gpu", 1)))},
			[]string{"1 nic of GPU|RDMA NIC"}, false,
		},
		"alternatives of different number are options, the favourite first": {
			[]*resourceapi.ResourceClaim{claim("c", wantsFirst("any", wants("", "gpu", 4), wants("", "nic", 2)), wants("x", "gpu", 1))},
			[]string{"5 gpu of GPU", "1 gpu of GPU, 2 nic of RDMA NIC"}, false,
		},
		"all devices are a pod limit": {
			[]*resourceapi.ResourceClaim{claim("c", wants("gpu", "gpu", 8), wantsAll("nic", "nic"))},
			[]string{"8 gpu of GPU, limit all of nic"}, true,
		},
		"a constraint is a pod limit beside its devices": {
			[]*resourceapi.ResourceClaim{match(claim("c", wants("gpu", "gpu", 2), wants("nic", "nic", 2)), numaNode)},
			[]string{"2 gpu of GPU, 2 nic of RDMA NIC, limit same resource.kubernetes.io/numaNode"}, true,
		},
		"a constraint over one device bounds nothing": {
			[]*resourceapi.ResourceClaim{match(claim("c", wants("gpu", "gpu", 1), wants("nic", "nic", 1)), numaNode, "gpu")},
			[]string{"1 gpu of GPU, 1 nic of RDMA NIC"}, true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inv := inventory(ndH100v5().slices("n1")...)
			request := mustRequest(t, inv, test.claims...)
			view := inv.View(request)
			var got []string
			for _, option := range view.Options(&request) {
				got = append(got, drawOption(view, option))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("options (-want,+got):\n%s", diff)
			}
			if request.RDMA != test.rdma {
				t.Errorf("RDMA: got %t, want %t", request.RDMA, test.rdma)
			}
		})
	}
}

// The error names the claim, the request and the fault. It does not affect the count of the
// next pod.
func TestMalformedClaims(t *testing.T) {
	odd := wants("gpu", "gpu", 1)
	odd.Exactly.AllocationMode = "Half"
	tests := map[string]struct {
		claim *resourceapi.ResourceClaim
		want  []string
	}{
		"an unknown class":                   {claim("c", wants("gpu", "tpu", 1)), []string{"claim ml/c", "request gpu", "DeviceClass tpu does not exist"}},
		"an unknown class of an alternative": {claim("c", wantsFirst("any", wants("", "gpu", 1), wants("", "tpu", 1))), []string{"claim ml/c", "request any", "alternative alt-1", "DeviceClass tpu does not exist"}},
		"a selector that is not CEL":         {claim("c", wants("gpu", "gpu", 1, "device.driver = 3")), []string{"claim ml/c", "request gpu", "selector 0", "CEL compile error"}},
		"a selector that is no condition":    {claim("c", wants("gpu", "gpu", 1, "device.driver")), []string{"claim ml/c", "request gpu", "selector 0", "bool"}},
		"an unknown mode":                    {claim("c", odd), []string{"claim ml/c", "request gpu", `"Half"`}},
		"more than a claim can hold":         {claim("c", wants("a", "gpu", 20), wants("b", "nic", 20)), []string{"claim ml/c", "40", "32"}},
		"a request of no kind":               {claim("c", resourceapi.DeviceRequest{Name: "new"}), []string{"claim ml/c", "request new"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inv := inventory(ndH100v5().slices("n1")...)
			_, err := inv.Request(pod, []*resourceapi.ResourceClaim{test.claim}, standardClasses())
			if err == nil {
				t.Fatal("got no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not contain %q", err, part)
				}
			}
			request := mustRequest(t, inv, claim("good", wants("gpu", "gpu", 4)))
			if got := slots(t, inv.View(request), request, "n1"); got != 2 {
				t.Errorf("the next pod: got %d slots, want 2", got)
			}
		})
	}
}

// A device does not count if a selector fails on it. The view reports the failure.
func TestSelectorThatFailsOnDevices(t *testing.T) {
	inv := inventory(ndH100v5().slices("n1")...)
	request := mustRequest(t, inv, claim("c", wants("gpu", "gpu", 1, `device.attributes["gpu.nvidia.com"].noSuchThing == 3`)))
	view := inv.View(request)
	if got := slots(t, view, request, "n1"); got != 0 {
		t.Errorf("got %d slots, want 0", got)
	}
	problems := strings.Join(view.Problems(), "\n")
	if !strings.Contains(problems, "noSuchThing") || !strings.Contains(problems, "class gpu") {
		t.Errorf("problems do not name class and attribute: %q", problems)
	}
}

func TestAllocatedClaimsPinThePod(t *testing.T) {
	inv := inventory(ndH100v5().slices("n1")...)
	held := claim("held", wants("gpu", "gpu", 8))
	held.Status.Allocation = allocated("gpu.nvidia.com/n1/gpu-0")
	held.Status.Allocation.NodeSelector = &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchFields: []v1.NodeSelectorRequirement{{Key: "metadata.name", Operator: v1.NodeSelectorOpIn, Values: []string{"n1"}}},
	}}}
	request := mustRequest(t, inv, held)
	if !request.Empty() {
		t.Errorf("an allocated claim still needs %d options", len(inv.View(request).Options(&request)))
	}
	for name, want := range map[string]bool{"n1": true, "n2": false} {
		got, err := request.AllowsNode(node(name))
		if err != nil || got != want {
			t.Errorf("node %s: got %t, %v, want %t", name, got, err, want)
		}
	}
}

func TestSharedClaimsAreNamed(t *testing.T) {
	shared := claim("domain", wants("gpu", "gpu", 1))
	shared.OwnerReferences = nil
	request := mustRequest(t, inventory(), claim("own", wants("gpu", "gpu", 1)), shared)
	want := []types.NamespacedName{{Namespace: "ml", Name: "domain"}}
	if diff := cmp.Diff(want, request.SharedClaims); diff != "" {
		t.Errorf("shared claims (-want,+got):\n%s", diff)
	}
}

// Members of a role have claims of different names and equal requests.
func TestKeyIgnoresNames(t *testing.T) {
	inv := inventory()
	first := mustRequest(t, inv, claim("worker-0-gpu", wants("gpu", "gpu", 8)))
	second := mustRequest(t, inv, claim("worker-1-gpu", wants("gpu", "gpu", 8)))
	other := mustRequest(t, inv, claim("worker-0-gpu", wants("gpu", "gpu", 4)))
	if first.Key != second.Key || first.Key == other.Key {
		t.Errorf("keys: same request %t, other request %t; want true, false", first.Key == second.Key, first.Key == other.Key)
	}
}

func container(gpus string, sidecar bool) v1.Container {
	c := v1.Container{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{"cpu": resource.MustParse("1")}}}
	if gpus != "" {
		c.Resources.Requests["nvidia.com/gpu"] = resource.MustParse(gpus)
	}
	if sidecar {
		c.RestartPolicy = ptr.To(v1.ContainerRestartPolicyAlways)
	}
	return c
}

// Devices for extended resources are counted as in the stock scheduler: init containers
// share devices with later containers.
func TestExtendedResources(t *testing.T) {
	tests := map[string]struct {
		init, main []v1.Container
		want       int64
	}{
		"none":                                  {nil, []v1.Container{container("", false)}, 0},
		"containers add up":                     {nil, []v1.Container{container("4", false), container("2", false)}, 6},
		"an init container uses theirs":         {[]v1.Container{container("5", false)}, []v1.Container{container("6", false)}, 6},
		"the largest shortage comes on top":     {[]v1.Container{container("8", false), container("7", false)}, []v1.Container{container("6", false)}, 8},
		"a sidecar keeps its own":               {[]v1.Container{container("2", true)}, []v1.Container{container("6", false)}, 8},
		"a sidecar before it is not for others": {[]v1.Container{container("2", true), container("7", false)}, []v1.Container{container("6", false)}, 9},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inv := inventory(ndH100v5().slices("n1")...)
			with := pod.DeepCopy()
			with.Spec.InitContainers, with.Spec.Containers = test.init, test.main
			request, err := inv.Request(with, []*resourceapi.ResourceClaim{claim("c", wants("nic", "nic", 1))}, standardClasses())
			if err != nil {
				t.Fatal(err)
			}
			if got := request.Extended["nvidia.com/gpu"]; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// A device plugin's resource meets the same demand on the nodes that have the plugin.
func TestExtendedResourceFromPlugin(t *testing.T) {
	inv := inventory(ndH100v5().slices("n1")...)
	with := pod.DeepCopy()
	with.Spec.Containers = []v1.Container{container("4", false)}
	request, err := inv.Request(with, nil, standardClasses())
	if err != nil {
		t.Fatal(err)
	}
	view := inv.View(request)
	if diff := cmp.Diff("4 nvidia.com/gpu of GPU|nvidia.com/gpu", drawOption(view, view.Least(&request))); diff != "" {
		t.Errorf("option (-want,+got):\n%s", diff)
	}
	plugin, err := view.Node(node("old"), map[v1.ResourceName]int64{"nvidia.com/gpu": 8})
	if err != nil {
		t.Fatal(err)
	}
	if got := optionSlots(view.Least(&request), plugin); got != 2 {
		t.Errorf("node with a device plugin: got %d slots, want 2", got)
	}
	if got := slots(t, view, request, "n1"); got != 2 {
		t.Errorf("node with devices: got %d slots, want 2", got)
	}
	if got := slots(t, view, request, "other"); got != 0 {
		t.Errorf("node with neither: got %d slots, want 0", got)
	}
}

// Any number of different requests are counted correctly, even after earlier requests were
// dropped from the cache. The namespace's budget admits 25 of them each second.
func TestManyDifferentRequests(t *testing.T) {
	inv := inventory(ndH100v5().slices("n1")...)
	first := mustRequest(t, inv, claim("c", wants("g", "gpu", 4)))
	for i := range 700 {
		inv.Refill(time.Unix(int64(i), 0))
		uuid := fmt.Sprintf("GPU-n1-%d", i%10)
		request := mustRequest(t, inv, claim("c", wants("g", "gpu", 1, fmt.Sprintf(`device.attributes["gpu.nvidia.com"].uuid == %q && %d == %d`, uuid, i, i))))
		want := 1
		if i%10 >= 8 {
			want = 0
		}
		view := inv.View(request, first)
		if got := slots(t, view, request, "n1"); got != want {
			t.Fatalf("request %d for %s: got %d slots, want %d", i, uuid, got, want)
		}
		if got := slots(t, view, first, "n1"); got != 2 {
			t.Fatalf("after request %d the first one: got %d slots, want 2", i, got)
		}
	}
}
