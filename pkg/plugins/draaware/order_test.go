// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const (
	oneNode  = "shape=ndh100v5,spines=1,leaves=1,nodes=1"
	twoNodes = "shape=ndh100v5,spines=1,leaves=1,nodes=2"
)

// churnPod is an arriving pod. It leaves after so many later arrivals.
type churnPod struct {
	pod     *v1.Pod
	claim   *resourceapi.ResourceClaim
	gpuOnly bool
	stays   int
}

func churnPods(count, stay int) (pods []churnPod, objects []runtime.Object) {
	random := rand.New(rand.NewPCG(4, 2))
	for i := range count {
		gpus := []int{1, 1, 1, 2, 2, 4}[random.IntN(6)]
		created := churnPod{gpuOnly: random.IntN(100) < 30, stays: 1 + random.IntN(stay)}
		wants := []string{fmt.Sprintf("%d gpu.nvidia.com", gpus)}
		if !created.gpuOnly {
			wants = append(wants, fmt.Sprintf("%d rdma.dranet.net", gpus))
		}
		created.claim = claim(fmt.Sprintf("churn-%d", i), wants...)
		created.pod = podWith(created.claim.Name, created.claim)
		pods, objects = append(pods, created), append(objects, created.claim)
	}
	return pods, objects
}

// outcome counts the results of a churn.
type outcome struct{ placed, paired, refused int }

func churn(t *testing.T, w *world, p plugin, pods []churnPod) outcome {
	var o outcome
	running := map[int]*trip{}
	for i, pod := range pods {
		for _, gone := range slices.Sorted(maps.Keys(running)) {
			if gone+pods[gone].stays <= i {
				running[gone].leave()
				delete(running, gone)
			}
		}
		trip := w.trip(p, pod.pod)
		if !trip.place() {
			o.refused++
			continue
		}
		running[i] = trip
		if pod.gpuOnly {
			continue
		}
		o.placed++
		if apart(t, trip.devices(pod.claim)) == 0 {
			o.paired++
		}
	}
	for _, i := range slices.Sorted(maps.Keys(running)) {
		running[i].leave()
	}
	return o
}

// Pods come and go, some without NICs. With DRAAware every pod with NICs gets the NICs
// paired with its GPUs, and no more pods are refused than with the in-tree plugin. Objects
// of the informers do not change.
func TestChurnPairs(t *testing.T) {
	pods, objects := churnPods(150, 12)
	w := newWorld(t, twoNodes, objects...)
	published, err := w.handle.manager.ResourceSlices().ListWithDeviceTaintRules()
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]*resourceapi.ResourceSlice{}
	for _, slice := range published {
		before[slice.Name] = slice.DeepCopy()
	}
	stock, ours := churn(t, w, w.stock(), pods), churn(t, w, w.ours(), pods)
	t.Logf("pods with all NICs beside their GPUs: stock %d of %d (%d refused), ours %d of %d (%d refused)",
		stock.paired, stock.placed, stock.refused, ours.paired, ours.placed, ours.refused)
	if ours.paired != ours.placed {
		t.Errorf("%d of %d pods are paired, want all", ours.paired, ours.placed)
	}
	if ours.refused > stock.refused {
		t.Errorf("ours refused %d pods, stock %d", ours.refused, stock.refused)
	}
	if stock.paired == stock.placed {
		t.Error("stock paired every pod: this churn shows nothing")
	}
	for _, slice := range published {
		if diff := cmp.Diff(before[slice.Name], slice); diff != "" {
			t.Errorf("slice %s of the informer changed (-before,+after):\n%s", slice.Name, diff)
		}
	}
}

// GPUs from an extended resource are paired with NICs from a claim too.
func TestExtendedResourceWithClaim(t *testing.T) {
	nics := claim("nics", "2 rdma.dranet.net")
	w := newWorld(t, oneNode, holding("taken", "gpu-0", "gpu-1", "gpu-2"), nics)
	before := w.inUse()
	trip := w.trip(w.ours(), extended(podWith("worker", nics), "nvidia.com/gpu", 2))
	if !trip.place() {
		t.Fatalf("the worker finds no node: %v", trip.said)
	}
	// The claim of the GPUs has no name yet. The new devices in use identify them.
	got := slices.DeleteFunc(w.inUse(), func(device string) bool { return slices.Contains(before, device) })
	if len(got) != 4 || apart(t, got) != 0 {
		t.Errorf("the worker has %v, want two pairs", got)
	}
}

// A planned pod sees only its node's slices, reordered, and fits no other node. It uses the
// planned rail.
func TestPlannedPodSeesOneNode(t *testing.T) {
	pair := claim("pair", "1 gpu.nvidia.com", "1 rdma.dranet.net")
	w := newWorld(t, twoNodes, holding("taken", "gpu-0", "gpu-1"), pair)
	node := w.nodes[0].Node().Name
	p := w.ours()
	trip := w.trip(p, podWith("member", pair))
	cluster.SetPlanned(trip.state, cluster.Planned{Node: node, Rail: 6})
	if diff := cmp.Diff([]string{node}, trip.look()); diff != "" {
		t.Fatalf("nodes that will do (-want,+got):\n%s", diff)
	}
	trip.node = node
	if said := trip.reserve(); said != "" {
		t.Fatal(said)
	}
	if diff := cmp.Diff([]string{"gpu.nvidia.com/gpu-6", "dra.net/" + nic(6)}, trip.devices(pair)); diff != "" {
		t.Errorf("the member's devices (-want,+got):\n%s", diff)
	}
}

// Alignment modes differ in the nodes they refuse. In mode none the pod gets the same
// devices as from the in-tree plugin.
func TestModes(t *testing.T) {
	late := claim("late", "1 gpu.nvidia.com", "1 rdma.dranet.net")
	const broken = "device alignment is required, and 1 of 1 NICs would stand apart from the pod's GPUs"
	first := holding("first", "gpu-0")
	// the GPUs of one socket and the NICs of the other are in use
	split := holding("split", "gpu-0", "gpu-1", "gpu-2", "gpu-3", nic(4), nic(5), nic(6), nic(7))
	tests := map[string]struct {
		mode  string
		taken *resourceapi.ResourceClaim
		want  string
		apart int
	}{
		"no mode takes a pair":         {"", first, "", 0},
		"preferred takes a pair":       {"preferred", first, "", 0},
		"preferred takes what is left": {"preferred", split, "", 1},
		"required takes a pair":        {"required", first, "", 0},
		"required refuses":             {"required", split, broken, 0},
		"none takes what stock takes":  {"none", first, "", 1},
		"another word":                 {"always", first, `annotation dovetail.dev/device-alignment of pod ml/late is "always", which must be preferred, required or none`, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oneNode, test.taken, late)
			pod := podWith("late", late)
			if test.mode != "" {
				pod.Annotations[gangs.AlignmentAnnotation] = test.mode
			}
			trip := w.trip(w.ours(), pod)
			placed := trip.place()
			if said := trip.said[w.nodes[0].Node().Name]; placed != (test.want == "") || said != test.want {
				t.Fatalf("placed: %t, the node said %q, want %q", placed, said, test.want)
			}
			if placed && apart(t, trip.devices(late)) != test.apart {
				t.Errorf("the pod has %v, want %d NICs apart", trip.devices(late), test.apart)
			}
		})
	}
}

// The alignment annotation may be on a claim too: a claim copies its template's
// annotations.
func TestModeOfClaims(t *testing.T) {
	split := holding("split", "gpu-0", "gpu-1", "gpu-2", "gpu-3", nic(4), nic(5), nic(6), nic(7))
	tests := map[string]struct {
		pod, gpus, nics string
		want            string
	}{
		"on one claim":          {"", "required", "", "device alignment is required, and 1 of 1 NICs would stand apart from the pod's GPUs"},
		"the pod's comes first": {"preferred", "required", "none", ""},
		"claims that disagree":  {"", "required", "none", `annotation dovetail.dev/device-alignment is "required" on claim gpus and "none" on claim nics, which must be the same`},
		"another word":          {"", "", "best", `annotation dovetail.dev/device-alignment of claim ml/nics is "best", which must be preferred, required or none`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			gpus, nics := claim("gpus", "1 gpu.nvidia.com"), claim("nics", "1 rdma.dranet.net")
			pod := podWith("pod", gpus, nics)
			for object, value := range map[metav1.Object]string{pod: test.pod, gpus: test.gpus, nics: test.nics} {
				if value != "" {
					object.SetAnnotations(map[string]string{gangs.AlignmentAnnotation: value})
				}
			}
			w := newWorld(t, oneNode, split, gpus, nics)
			trip := w.trip(w.ours(), pod)
			trip.look()
			if said := trip.said[w.nodes[0].Node().Name]; said != test.want {
				t.Errorf("the node said %q, want %q", said, test.want)
			}
		})
	}
}
