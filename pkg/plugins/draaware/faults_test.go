// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	"k8s.io/component-base/metrics/legacyregistry"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// selecting adds a CEL selector to a request of the claim.
func selecting(c *resourceapi.ResourceClaim, request int, expression string) *resourceapi.ResourceClaim {
	exact := c.Spec.Devices.Requests[request].Exactly
	exact.Selectors = append(exact.Selectors, resourceapi.DeviceSelector{CEL: &resourceapi.CELDeviceSelector{Expression: expression}})
	return c
}

// sameNUMA adds a matchAttribute constraint over the whole claim.
func sameNUMA(c *resourceapi.ResourceClaim) *resourceapi.ResourceClaim {
	c.Spec.Devices.Constraints = append(c.Spec.Devices.Constraints, resourceapi.DeviceConstraint{
		MatchAttribute: ptr.To(resourceapi.FullyQualifiedName("resource.kubernetes.io/numaNode")),
	})
	return c
}

// oddPods returns pods of many kinds: few or many devices, with selectors or constraints,
// with one claim or two.
func oddPods(count int) (pods []*v1.Pod, objects []runtime.Object) {
	random := rand.New(rand.NewPCG(11, 3))
	for i := range count {
		name := fmt.Sprintf("odd-%d", i)
		first := claim(name+"-a", fmt.Sprintf("%d gpu.nvidia.com", 1+random.IntN(5)), fmt.Sprintf("%d rdma.dranet.net", 1+random.IntN(9)))
		second := claim(name+"-b", fmt.Sprintf("%d dranet.net", 1+random.IntN(3)))
		switch random.IntN(4) {
		case 0:
			sameNUMA(first)
		case 1:
			selecting(first, 0, fmt.Sprintf(`device.attributes["resource.kubernetes.io"].numaNode == %d`, random.IntN(2)))
		case 2:
			first.Spec.Devices.Requests = first.Spec.Devices.Requests[:1]
		}
		pod := podWith(name, first)
		if random.IntN(2) == 0 {
			pod = podWith(name, first, second)
		}
		pods, objects = append(pods, pod), append(objects, first, second)
	}
	return pods, objects
}

// In mode preferred DRAAware finds the same nodes feasible as the in-tree plugin, for every
// pod and after every reservation.
func TestFeasibilityIsStocks(t *testing.T) {
	pods, objects := oddPods(120)
	w := newWorld(t, twoNodes, objects...)
	stock, ours := w.stock(), w.ours()
	var running []*trip
	yes, no := 0, 0
	for i, pod := range pods {
		want := w.trip(stock, pod).look()
		trip := w.trip(ours, pod)
		got := trip.look()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("pod %s, nodes that will do (-stock,+ours):\n%s\nours said %v", pod.Name, diff, trip.said)
		}
		yes, no = yes+len(got), no+len(w.nodes)-len(got)
		if len(got) > 0 {
			if trip.node = trip.best(got); trip.reserve() == "" {
				running = append(running, trip)
			}
		}
		if len(running) > 3 || i%7 == 6 && len(running) > 0 {
			running[0].leave()
			running = running[1:]
		}
	}
	t.Logf("%d answers were yes, %d no", yes, no)
	if yes < 30 || no < 30 {
		t.Error("too one-sided to tell anything")
	}
}

// Filter refuses a pod at once, with the reason, if the in-tree plugin would search longer
// than a cycle may last.
func TestCountsRefuseAtOnce(t *testing.T) {
	pairs := claim("pairs")
	for i := range 8 {
		requests := claim("pair", "1 gpu.nvidia.com", "1 rdma.dranet.net").Spec.Devices.Requests
		for j := range requests {
			requests[j].Name = fmt.Sprintf("%s-%d", []string{"gpu", "nic"}[j], i)
		}
		pairs.Spec.Devices.Requests = append(pairs.Spec.Devices.Requests, requests...)
	}
	small := claim("small", "1 gpu.nvidia.com", "1 rdma.dranet.net")
	w := newWorld(t, oneNode, holding("taken", nic(7)), pairs, small)
	p := w.ours()
	w.trip(p, podWith("small", small)).look() // compiles the classes' selectors
	trip := w.trip(p, podWith("pod", pairs))
	if _, status := trip.plugin.PreFilter(context.Background(), trip.state, trip.pod, w.nodes); !status.IsSuccess() {
		t.Fatal(status)
	}
	// The allocator would search for seconds and has no such message.
	status := trip.plugin.Filter(context.Background(), trip.state, trip.pod, w.nodes[0])
	if want := "devices of class rdma.dranet.net: 8 wanted, 7 free"; status.Message() != want || status.Code() != fwk.Unschedulable {
		t.Errorf("Filter: %v %q, want %q", status.Code(), status.Message(), want)
	}
}

// pending returns the pending devices of each claim, by claim name.
func (w *world) pending(claims ...*resourceapi.ResourceClaim) map[string]string {
	got := map[string]string{}
	for _, c := range claims {
		got[c.Name] = strings.Join((&trip{world: w}).devices(c), " ")
	}
	return got
}

// In a PodGroup cycle pods share a claim that is not allocated yet. The pod may list it
// before its own claim, or have extended resources, whose claim comes last. The in-tree
// plugin then gives the shared device to the pod's own claim too. DRAAware gives each claim
// its own devices.
func TestSharedPendingClaim(t *testing.T) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.GenericWorkload, true)
	for name, make := range map[string]func(*world) plugin{"stock": (*world).stock, "ours": (*world).ours} {
		t.Run(name, func(t *testing.T) {
			shared, own := claim("shared", "1 gpu.nvidia.com"), claim("own", "1 gpu.nvidia.com")
			w := newWorld(t, oneNode, shared, own)
			p, group := make(w), framework.NewCycleState()
			pods := []*v1.Pod{podWith("first", shared), podWith("second", shared, own), extended(podWith("third", shared), "nvidia.com/gpu", 1)}
			before := 0
			for i, pod := range pods {
				pod.Spec.SchedulingGroup = &v1.PodSchedulingGroup{PodGroupName: ptr.To("train")}
				trip := w.trip(p, pod)
				trip.state.SetPodGroupSchedulingCycle(group)
				if !trip.place() {
					t.Fatalf("pod %s is not placed: %v", pod.Name, trip.said)
				}
				more := len(w.inUse()) - before
				if want := 1; (more == want) != (name == "ours" || i == 0) {
					t.Errorf("pod %s took %d devices more", pod.Name, more)
				}
				before += more
			}
			if got := w.pending(shared, own); (got["shared"] == got["own"]) != (name == "stock") {
				t.Errorf("a device stands in two claims, or not: %v", got)
			}
		})
	}
}

// If required alignment fails, Reserve emits an event and refuses the pod. Here the GPUs have
// allocation mode All, so no order can choose them. The NICs of a pod are counted once, when
// the pod is bound.
func TestReadBack(t *testing.T) {
	metrics.Register()
	all := claim("all", "0 gpu.nvidia.com", "1 rdma.dranet.net")
	all.Spec.Devices.Requests[0].Exactly.AllocationMode = resourceapi.DeviceAllocationModeAll
	selecting(all, 0, `device.attributes["resource.kubernetes.io"].numaNode == 0`)
	pair := claim("pair", "1 gpu.nvidia.com", "1 rdma.dranet.net")
	w := newWorld(t, oneNode, holding("taken", nic(0), nic(1), nic(2), nic(3)), all, pair)
	p := w.ours()
	before := counted(t)

	pod := podWith("pod", all)
	pod.Annotations[gangs.AlignmentAnnotation] = "required"
	refused := w.trip(p, pod)
	if feasible := refused.look(); len(feasible) != 1 {
		t.Fatalf("the node says %v", refused.said)
	}
	refused.node = w.nodes[0].Node().Name
	want := "device alignment is required, and 1 of 1 NICs that node " + refused.node + " gave stand apart from the pod's GPUs"
	if said := refused.reserve(); said != want {
		t.Errorf("Reserve said %q, want %q", said, want)
	}
	if event := <-w.handle.recorder.Events; !strings.Contains(event, want) || !strings.Contains(event, "Warning DeviceAlignmentBroken") {
		t.Errorf("event %q, want a warning with %q", event, want)
	}
	placed := []*trip{w.trip(p, podWith("second", pair)), w.trip(p, podWith("third", all))}
	for _, trip := range placed {
		if !trip.place() {
			t.Fatalf("pod %s is not placed: %v", trip.pod.Name, trip.said)
		}
	}
	if diff := cmp.Diff(before, counted(t)); diff != "" {
		t.Errorf("NICs counted before a pod is bound (-want,+got):\n%s", diff)
	}
	for _, trip := range placed {
		p.(fwk.PostBindPlugin).PostBind(context.Background(), trip.state, trip.pod, trip.node)
	}
	after := counted(t)
	got := map[string]float64{"paired": after["paired"] - before["paired"], "unpaired": after["unpaired"] - before["unpaired"]}
	if diff := cmp.Diff(map[string]float64{"paired": 1, "unpaired": 1}, got); diff != "" {
		t.Errorf("NICs counted (-want,+got):\n%s", diff)
	}
}

// counted reads dovetail_device_pairs_total.
func counted(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "dovetail_device_pairs_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "result" {
					sums[label.GetValue()] += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return sums
}

// Score prefers the node that can still pair the pod's devices, and does not allocate.
func TestScore(t *testing.T) {
	late := claim("late", "1 gpu.nvidia.com", "1 rdma.dranet.net")
	split := holding("split", "gpu-0", "gpu-1", "gpu-2", "gpu-3", nic(4), nic(5), nic(6), nic(7))
	w := newWorld(t, twoNodes, split, late)
	trip := w.trip(w.ours(), podWith("late", late))
	feasible := trip.look()
	if best := trip.best(feasible); best != w.nodes[1].Node().Name || len(feasible) != 2 {
		t.Errorf("of %v node %s is best, want %s", feasible, best, w.nodes[1].Node().Name)
	}
	scores := fwk.NodeScoreList{}
	for _, info := range w.nodes {
		score, _ := trip.plugin.Score(context.Background(), trip.state, trip.pod, info)
		scores = append(scores, fwk.NodeScore{Name: info.Node().Name, Score: score})
	}
	if want := []int64{20, 100}; scores[0].Score != want[0] || scores[1].Score != want[1] {
		t.Errorf("scores %v, want %v", scores, want)
	}
	if raceDetector {
		return // which makes allocations of its own
	}
	allocs := testing.AllocsPerRun(1000, func() { trip.plugin.Score(context.Background(), trip.state, trip.pod, w.nodes[0]) })
	if allocs != 0 {
		t.Errorf("Score allocates %v times, want 0", allocs)
	}
}
