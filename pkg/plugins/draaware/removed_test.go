// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// usedBy adds pods to the claim's reservedFor.
func usedBy(c *resourceapi.ResourceClaim, pods ...string) *resourceapi.ResourceClaim {
	for _, pod := range pods {
		c.Status.ReservedFor = append(c.Status.ReservedFor, resourceapi.ResourceClaimConsumerReference{Resource: "pods", Name: pod, UID: types.UID(pod)})
	}
	return c
}

// on puts a pod on the first node.
func on(pod *v1.Pod) *v1.Pod {
	pod.Spec.NodeName = firstNode()
	return pod
}

// allGPUs are the GPUs of a node.
var allGPUs = []string{"gpu-0", "gpu-1", "gpu-2", "gpu-3", "gpu-4", "gpu-5", "gpu-6", "gpu-7"}

// remove removes the pods in a copy of the cycle's state, as a dry run of preemption does, and
// returns the copy.
func (t *trip) remove(pods ...*v1.Pod) fwk.CycleState {
	t.world.Helper()
	state := t.state.Clone()
	for _, pod := range pods {
		t.extend(pod, state, true)
	}
	return state
}

// extend removes a pod in the state, or puts it back.
func (t *trip) extend(pod *v1.Pod, state fwk.CycleState, remove bool) {
	t.world.Helper()
	info, err := framework.NewPodInfo(pod)
	if err != nil {
		t.world.Fatal(err)
	}
	extensions := t.plugin.PreFilterExtensions()
	if extensions == nil {
		return // as in the in-tree plugin
	}
	call := extensions.AddPod
	if remove {
		call = extensions.RemovePod
	}
	if status := call(context.Background(), state, t.pod, info, t.world.nodes[0]); !status.IsSuccess() {
		t.world.Fatal(status.Message())
	}
}

// fits filters the first node.
func (t *trip) fits(state fwk.CycleState) *fwk.Status {
	return t.plugin.Filter(context.Background(), state, t.pod, t.world.nodes[0])
}

// The pod wants 4 GPUs of the node. Its 8 GPUs are held by pods that may be victims.
func TestRemovedPodsFreeDevices(t *testing.T) {
	const yes, no = true, false
	template := func(c *resourceapi.ResourceClaim, pod string) *resourceapi.ResourceClaim {
		c.OwnerReferences = []metav1.OwnerReference{{Kind: "Pod", Name: pod, UID: types.UID(pod), Controller: ptr.To(true)}}
		return c
	}
	group := func(c *resourceapi.ResourceClaim) *resourceapi.ResourceClaim {
		c.Status.ReservedFor = []resourceapi.ResourceClaimConsumerReference{{APIGroup: "scheduling.k8s.io", Resource: "podgroups", Name: "g", UID: "g"}}
		return c
	}
	half := func(name string, first int) *resourceapi.ResourceClaim {
		return holding(name, allGPUs[first:first+4]...)
	}
	extendedPod := extended(podWith("victim"), fleet.ExtendedResourceGPU, 8)
	extendedClaim := func() *resourceapi.ResourceClaim {
		c := extendedFor("victim", "gpu-0")
		c.Status.Allocation = holding("x", allGPUs...).Status.Allocation
		return c
	}
	tests := map[string]struct {
		claims  []*resourceapi.ResourceClaim
		pods    []*v1.Pod
		removed []string
		waiting string
		want    bool
	}{
		"its only user goes":               {[]*resourceapi.ResourceClaim{usedBy(holding("a", allGPUs...), "victim")}, []*v1.Pod{podWith("victim", claim("a"))}, []string{"victim"}, "", yes},
		"a second user stays":              {[]*resourceapi.ResourceClaim{usedBy(holding("a", allGPUs...), "victim", "other")}, []*v1.Pod{podWith("victim", claim("a")), podWith("other", claim("a"))}, []string{"victim"}, "", no},
		"both users go":                    {[]*resourceapi.ResourceClaim{usedBy(holding("a", allGPUs...), "victim", "other")}, []*v1.Pod{podWith("victim", claim("a")), podWith("other", claim("a"))}, []string{"victim", "other"}, "", yes},
		"a second user is about to run":    {[]*resourceapi.ResourceClaim{usedBy(holding("a", allGPUs...), "victim")}, []*v1.Pod{podWith("victim", claim("a")), podWith("other", claim("a"))}, []string{"victim"}, "other", no},
		"another pod only names the claim": {[]*resourceapi.ResourceClaim{usedBy(holding("a", allGPUs...), "victim")}, []*v1.Pod{podWith("victim", claim("a")), podWith("other", claim("a"))}, []string{"victim"}, "", yes},
		"a claim that nobody uses stays":   {[]*resourceapi.ResourceClaim{holding("a", allGPUs...)}, []*v1.Pod{podWith("victim", claim("a"))}, []string{"victim"}, "", no},
		"a claim of a PodGroup stays":      {[]*resourceapi.ResourceClaim{group(holding("a", allGPUs...))}, []*v1.Pod{podWith("victim", claim("a"))}, []string{"victim"}, "", no},
		"a claim from a template":          {[]*resourceapi.ResourceClaim{template(holding("a", allGPUs...), "victim")}, []*v1.Pod{podWith("victim", claim("a"))}, []string{"victim"}, "", yes},
		"one of two":                       {[]*resourceapi.ResourceClaim{usedBy(half("a", 0), "victim"), usedBy(half("b", 4), "other")}, []*v1.Pod{podWith("victim", claim("a")), podWith("other", claim("b"))}, []string{"other"}, "", yes},
		"an extended resource":             {[]*resourceapi.ResourceClaim{extendedClaim()}, []*v1.Pod{extendedPod}, []string{"victim"}, "", yes},
		"nobody is removed":                {[]*resourceapi.ResourceClaim{usedBy(holding("a", allGPUs...), "victim")}, []*v1.Pod{podWith("victim", claim("a"))}, nil, "", no},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wanted := claim("wanted", "4 gpu.nvidia.com", "4 rdma.dranet.net")
			objects := []runtime.Object{wanted}
			for _, c := range test.claims {
				objects = append(objects, c)
			}
			byName := map[string]*v1.Pod{}
			for _, pod := range test.pods {
				pod = pod.DeepCopy()
				if byName[pod.Name] = pod; slices.Contains(test.removed, pod.Name) {
					on(pod)
				}
				objects = append(objects, pod)
			}
			w := newWorld(t, oneNode, objects...)
			w.handle.waiting = types.UID(test.waiting)
			var gone []*v1.Pod
			for _, name := range test.removed {
				gone = append(gone, byName[name])
			}
			for plugin, p := range map[string]plugin{"ours": w.ours(), "stock": w.stock()} {
				trip := w.trip(p, podWith("preemptor", wanted))
				trip.look()
				before := trip.fits(trip.state)
				if before.IsSuccess() {
					t.Fatalf("%s: the pod fits before any pod is removed", plugin)
				}
				want := test.want && plugin == "ours"
				if got := trip.fits(trip.remove(gone...)); got.IsSuccess() != want {
					t.Errorf("%s: fits %v, want %v: %s", plugin, got.IsSuccess(), want, got.Message())
				}
				if diff := cmp.Diff(before.Message(), trip.fits(trip.state).Message()); diff != "" {
					t.Errorf("%s: the dry run changed the cycle itself (-before,+after):\n%s", plugin, diff)
				}
				if plugin == "ours" && before.Code() != fwk.Unschedulable {
					t.Errorf("the refusal has code %v, with which preemption ignores the node", before.Code())
				}
			}
		})
	}
}

// Preemption removes all victims and then puts back those that need not go.
func TestVictimsArePutBack(t *testing.T) {
	a, b, wanted := usedBy(holding("a", allGPUs[:4]...), "one"), usedBy(holding("b", allGPUs[4:]...), "two"), claim("wanted", "4 gpu.nvidia.com", "4 rdma.dranet.net")
	low, lower := on(podWith("one", a)), on(podWith("two", b))
	w := newWorld(t, oneNode, a, b, wanted, low, lower)
	trip := w.trip(w.ours(), podWith("preemptor", wanted))
	trip.look()
	state := trip.remove(low, lower)
	trip.extend(low, state, false)
	if status := trip.fits(state); !status.IsSuccess() {
		t.Fatalf("with one of two victims back: %s", status.Message())
	}
	if status := trip.plugin.Reserve(t.Context(), state, trip.pod, firstNode()); !status.IsSuccess() {
		t.Fatal(status.Message())
	}
	held := trip.devices(wanted)
	if lost := apart(t, held); lost != 0 || len(held) != 8 {
		t.Errorf("the devices without the victim are %v, %d NICs apart from their GPUs", held, lost)
	}
	trip.plugin.(fwk.ReservePlugin).Unreserve(t.Context(), state, trip.pod, firstNode())
	trip.extend(lower, state, false)
	if trip.fits(state).IsSuccess() {
		t.Error("the pod fits with both victims back")
	}
}

// A gang's planner takes pods to be gone before PreFilter.
func TestGonePodsFreeDevices(t *testing.T) {
	a, b, wanted := usedBy(holding("a", allGPUs[:4]...), "one"), usedBy(holding("b", allGPUs[4:]...), "two"), claim("wanted", "4 gpu.nvidia.com", "4 rdma.dranet.net")
	low, lower := on(podWith("one", a)), on(podWith("two", b))
	w := newWorld(t, oneNode, a, b, wanted, low, lower)
	p := w.ours()
	for name, planned := range map[string]cluster.Planned{"all nodes": {Rail: -1}, "one node": {Node: firstNode(), Rail: -1}} {
		gone := cluster.NewGonePods([]*v1.Pod{lower})
		trip := w.trip(p, podWith("preemptor", wanted))
		cluster.SetPlanned(trip.state, planned)
		cluster.SetGone(trip.state, gone)
		trip.extend(lower, trip.state, true)
		if got := trip.look(); len(got) != 1 {
			t.Errorf("%s: the pod does not fit without a pod: %v", name, trip.said)
		}
		trip.extend(lower, trip.state, false)
		if trip.fits(trip.state).IsSuccess() || !gone.Has("two") {
			t.Errorf("%s: the pod fits with the victim back, or the caller's set changed", name)
		}
		for _, also := range []string{"", firstNode()} {
			other := w.trip(p, podWith("preemptor", wanted))
			cluster.SetPlanned(other.state, cluster.Planned{Node: also, Rail: -1})
			if got := other.look(); len(got) != 0 {
				t.Errorf("%s: another cycle sees the devices as free", name)
			}
		}
	}
}

// Every cycle of a profile takes pods to be gone while the scheduler places a PodGroup in a dry
// run.
func TestProfileTakesPodsAsGone(t *testing.T) {
	a, wanted := usedBy(holding("a", allGPUs...), "one"), claim("wanted", "4 gpu.nvidia.com")
	victim := on(podWith("one", a))
	w := newWorld(t, oneNode, a, wanted, victim)
	p, profile := w.oursIn()
	for _, dry := range []bool{false, true, false} {
		end := func() {}
		if dry {
			end = profile.TakeAsGone(cluster.NewGonePods([]*v1.Pod{victim}))
		}
		if got := w.trip(p, podWith("preemptor", wanted)).look(); (len(got) == 1) != dry {
			t.Errorf("in a dry run %v: feasible nodes %v", dry, got)
		}
		end()
	}
}

// A pod that is not bound yet holds pending devices.
func TestPendingDevicesAreFreed(t *testing.T) {
	mine, wanted := claim("mine", "8 gpu.nvidia.com"), claim("wanted", "4 gpu.nvidia.com")
	for name, victim := range map[string]*v1.Pod{
		"of a claim": podWith("victim", mine), "of an extended resource": extended(podWith("victim"), fleet.ExtendedResourceGPU, 8),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oneNode, mine.DeepCopy(), wanted, victim)
			p := w.ours()
			if !w.trip(p, victim).place() {
				t.Fatal("the victim is not placed")
			}
			trip := w.trip(p, podWith("preemptor", wanted))
			if trip.look(); trip.fits(trip.state).IsSuccess() {
				t.Fatal("the devices are free already")
			}
			if status := trip.fits(trip.remove(on(victim.DeepCopy()))); !status.IsSuccess() {
				t.Errorf("pending devices are not freed: %s", status.Message())
			}
		})
	}
}

// The pod and its victim name the same claim. Without the victim the claim can be allocated anew.
func TestPreemptorSharesTheClaim(t *testing.T) {
	both := usedBy(holding("both", "gpu-0"), "victim")
	both.Spec = claim("x", "2 gpu.nvidia.com").Spec
	both.Status.Allocation.NodeSelector = &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchFields: []v1.NodeSelectorRequirement{{Key: "metadata.name", Operator: v1.NodeSelectorOpIn, Values: []string{"elsewhere"}}},
	}}}
	victim := on(podWith("victim", both))
	w := newWorld(t, oneNode, both, victim)
	trip := w.trip(w.ours(), podWith("preemptor", both))
	if trip.look(); trip.fits(trip.state).IsSuccess() {
		t.Fatal("the claim is allocated on another node")
	}
	if status := trip.fits(trip.remove(victim)); !status.IsSuccess() {
		t.Errorf("without the victim: %s", status.Message())
	}
}

// shareable is a ResourceSlice with one device whose memory several claims can share.
func shareable() (*resourceapi.ResourceSlice, *resourceapi.DeviceClass) {
	slice := &resourceapi.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "shared"}, Spec: resourceapi.ResourceSliceSpec{
		NodeName: ptr.To(firstNode()), Driver: "shares.example.com",
		Pool: resourceapi.ResourcePool{Name: firstNode(), ResourceSliceCount: 1, Generation: 1},
		Devices: []resourceapi.Device{{Name: "shared-0", AllowMultipleAllocations: ptr.To(true), Capacity: map[resourceapi.QualifiedName]resourceapi.DeviceCapacity{
			"memory": {Value: resource.MustParse("100Gi"), RequestPolicy: &resourceapi.CapacityRequestPolicy{Default: ptr.To(resource.MustParse("10Gi"))}},
		}}},
	}}
	class := &resourceapi.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "shares"}, Spec: resourceapi.DeviceClassSpec{
		Selectors: []resourceapi.DeviceSelector{{CEL: &resourceapi.CELDeviceSelector{Expression: `device.driver == "shares.example.com"`}}},
	}}
	return slice, class
}

// share gives a claim a share of the shareable device.
func share(c *resourceapi.ResourceClaim, id, amount string) *resourceapi.ResourceClaim {
	c.Status.Allocation = &resourceapi.AllocationResult{Devices: resourceapi.DeviceAllocationResult{Results: []resourceapi.DeviceRequestAllocationResult{{
		Request: "shares-0", Driver: "shares.example.com", Pool: firstNode(), Device: "shared-0", ShareID: ptr.To(types.UID(id)),
		ConsumedCapacity: map[resourceapi.QualifiedName]resource.Quantity{"memory": resource.MustParse(amount)},
	}}}}
	return c
}

func TestSharesAreFreed(t *testing.T) {
	slice, class := shareable()
	a, b := usedBy(share(claim("a", "1 shares"), "5a1a7a3e-7a53-4a0e-93a6-000000000001", "60Gi"), "one"), usedBy(share(claim("b", "1 shares"), "5a1a7a3e-7a53-4a0e-93a6-000000000002", "40Gi"), "two")
	low, lower := on(podWith("one", a)), on(podWith("two", b))
	for amount, want := range map[string][]bool{"40Gi": {true, true, true}, "60Gi": {true, false, true}, "70Gi": {false, false, true}} {
		wanted := claim("wanted", "1 shares")
		wanted.Spec.Devices.Requests[0].Exactly.Capacity = &resourceapi.CapacityRequirements{Requests: map[resourceapi.QualifiedName]resource.Quantity{"memory": resource.MustParse(amount)}}
		w := newWorld(t, oneNode, slice, class, a, b, wanted, low, lower)
		for plugin, p := range map[string]plugin{"ours": w.ours()} {
			trip := w.trip(p, podWith("preemptor", wanted))
			if trip.look(); trip.fits(trip.state).IsSuccess() {
				t.Fatalf("%s of a full device", amount)
			}
			for i, gone := range [][]*v1.Pod{{low}, {lower}, {low, lower}} {
				if status := trip.fits(trip.remove(gone...)); status.IsSuccess() != want[i] {
					t.Errorf("%s, %s without %d pods (case %d): %v %s", plugin, amount, len(gone), i, status.IsSuccess(), status.Message())
				}
			}
		}
	}
}

// GetWaitingPod returns a value for the pod that waits in Permit.
func (h *handle) GetWaitingPod(uid types.UID) fwk.WaitingPod {
	if h.waiting != "" && uid == h.waiting {
		return struct{ fwk.WaitingPod }{}
	}
	return nil
}

func (h *handle) GetPodInPreBind(types.UID) fwk.PodInPreBind { return nil }
