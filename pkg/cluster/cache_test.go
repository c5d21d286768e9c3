// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/structured"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

var errNoSuchObject = errors.New("no such object")

// manager is an in-memory DRA manager. It has only the methods a cache uses.
type manager struct {
	slices []*resourceapi.ResourceSlice
	claims map[string]*resourceapi.ResourceClaim
	taken  sets.Set[structured.DeviceID]
}

func (m *manager) ResourceClaims() fwk.ResourceClaimTracker     { return claims{manager: m} }
func (m *manager) ResourceSlices() fwk.ResourceSliceLister      { return m }
func (m *manager) DeviceClasses() fwk.DeviceClassLister         { return classes{} }
func (m *manager) DeviceClassResolver() fwk.DeviceClassResolver { return classes{} }
func (m *manager) ListWithDeviceTaintRules() ([]*resourceapi.ResourceSlice, error) {
	return m.slices, nil
}

type claims struct {
	fwk.ResourceClaimTracker
	manager *manager
}

func (c claims) Get(_, name string) (*resourceapi.ResourceClaim, error) {
	if claim, ok := c.manager.claims[name]; ok {
		return claim, nil
	}
	return nil, errNoSuchObject
}

func (c claims) GatherAllocatedState() (*structured.AllocatedState, error) {
	return &structured.AllocatedState{AllocatedDevices: c.manager.taken.Clone()}, nil
}

// List returns all claims.
func (c claims) List() ([]*resourceapi.ResourceClaim, error) {
	return slices.Collect(maps.Values(c.manager.claims)), nil
}

func (c claims) GetPendingAllocation(types.UID) *resourceapi.AllocationResult { return nil }

type classes struct{}

func (classes) List() ([]*resourceapi.DeviceClass, error) { return fleet.Classes(), nil }

func (classes) Get(name string) (*resourceapi.DeviceClass, error) {
	for _, class := range fleet.Classes() {
		if class.Name == name {
			return class, nil
		}
	}
	return nil, errNoSuchObject
}

func (classes) GetDeviceClass(v1.ResourceName) *resourceapi.DeviceClass { return nil }

// world is a cluster with random changes.
type world struct {
	t     testing.TB
	rnd   *rand.Rand
	dra   *manager
	nodes []*framework.NodeInfo
	spare []*framework.NodeInfo
	made  int
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), dra: &manager{
		claims: map[string]*resourceapi.ResourceClaim{"two": twoGPUs("two")},
		taken:  sets.New[structured.DeviceID](),
	}}
	for node := range fleet.Default().All() {
		info := framework.NewNodeInfo()
		info.SetNode(node.Object())
		w.nodes = append(w.nodes, info)
		w.dra.slices = append(w.dra.slices, node.Slices()...)
	}
	return w
}

func twoGPUs(name string) *resourceapi.ResourceClaim {
	claim := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name)}}
	claim.Spec.Devices.Requests = []resourceapi.DeviceRequest{{
		Name: "gpu",
		Exactly: &resourceapi.ExactDeviceRequest{
			DeviceClassName: fleet.ClassGPU, AllocationMode: resourceapi.DeviceAllocationModeExactCount, Count: 2,
		},
	}}
	return claim
}

// cache returns a new cache of the world.
func (w *world) cache() *cluster.Cache {
	profile := &cluster.Profile{}
	profile.SetLevels([]cluster.Level{
		{Name: "group", DeviceAttribute: placementGroup}, {Name: "spine", NodeLabel: fleet.LabelSpine}, {Name: "leaf", NodeLabel: fleet.LabelLeaf},
	})
	profile.Devices(w.dra)
	cache, err := profile.Cache()
	if err != nil {
		w.t.Fatalf("making a cache: %v", err)
	}
	return cache
}

func (w *world) infos() []fwk.NodeInfo {
	infos := make([]fwk.NodeInfo, len(w.nodes))
	for i, info := range w.nodes {
		infos[i] = info
	}
	return infos
}

func pod(name, cpu string, more ...v1.ResourceName) *v1.Pod {
	requests := v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu)}
	for _, name := range more {
		requests[name] = resource.MustParse("1")
	}
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name)},
		Spec:       v1.PodSpec{Containers: []v1.Container{{Resources: v1.ResourceRequirements{Requests: requests}}}},
	}
}

func withClaim(p *v1.Pod, claim string) *v1.Pod {
	p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimName: &claim}}
	return p
}

// change makes a random change of a node, pod or device.
func (w *world) change() {
	i := w.rnd.IntN(len(w.nodes))
	info := w.nodes[i]
	switch w.rnd.IntN(8) {
	case 0: // add a pod
		w.made++
		added, err := framework.NewPodInfo(pod(fmt.Sprintf("p%d", w.made), fmt.Sprint(1+w.rnd.IntN(40))))
		if err != nil {
			w.t.Fatalf("reading a pod: %v", err)
		}
		info.AddPodInfo(added)
	case 1: // remove a pod
		if pods := info.GetPods(); len(pods) > 0 {
			if err := info.RemovePod(klog.Background(), pods[w.rnd.IntN(len(pods))].GetPod()); err != nil {
				w.t.Fatalf("removing a pod: %v", err)
			}
		}
	case 2: // move or cordon a node, or add a new extended resource
		node := info.Node().DeepCopy()
		node.Labels[fleet.LabelLeaf] = w.nodes[w.rnd.IntN(len(w.nodes))].Node().Labels[fleet.LabelLeaf]
		node.Spec.Unschedulable = w.rnd.IntN(4) == 0
		if w.rnd.IntN(4) == 0 {
			node.Status.Allocatable["example.com/thing"] = resource.MustParse("3")
		}
		info.SetNode(node)
	case 3: // remove a node
		if len(w.nodes) > 4 {
			w.spare = append(w.spare, info)
			w.nodes = slices.Delete(w.nodes, i, i+1)
		}
	case 4: // restore a node
		if len(w.spare) > 0 {
			w.nodes = append(w.nodes, w.spare[0])
			w.spare = w.spare[1:]
		}
	case 5: // change a node's placement group; sometimes its devices disagree
		w.regroup(info.Node().Name, fmt.Sprintf("pg-%d", w.rnd.IntN(2)), w.rnd.IntN(3) == 0)
	default: // allocate or free a device
		slice := w.dra.slices[w.rnd.IntN(len(w.dra.slices))]
		device := slice.Spec.Devices[w.rnd.IntN(len(slice.Spec.Devices))]
		id := structured.MakeDeviceID(slice.Spec.Driver, slice.Spec.Pool.Name, device.Name)
		if w.dra.taken.Has(id) {
			w.dra.taken.Delete(id)
		} else {
			w.dra.taken.Insert(id)
		}
	}
}

// answer has the results of plans and scores as text, by name.
type answer struct {
	Plans  []string
	Scores map[string]int64
}

// ask refreshes the cache from the world, and plans and scores on the snapshot.
func (w *world) ask(cache *cluster.Cache, holds func([]cluster.PodNeed) []gangs.Hold) answer {
	w.t.Helper()
	needs, err := cache.Read([]*v1.Pod{pod("cpu", "30"), withClaim(pod("gpu", "4"), "two"), pod("thing", "1", "example.com/thing")})
	if err != nil {
		w.t.Fatalf("reading needs: %v", err)
	}
	var held []gangs.Hold
	if holds != nil {
		held = holds(needs)
	}
	picture, err := cache.Refresh(w.infos(), held)
	if err != nil {
		w.t.Fatalf("refreshing: %v", err)
	}
	a := answer{Scores: map[string]int64{}}
	for i, need := range needs {
		for _, size := range []int{1, 5, 9, 40} {
			role := plan.Role{Name: "r", Min: size, Need: need.Need}
			for m := range size {
				role.Members = append(role.Members, plan.Member{Name: fmt.Sprintf("m%02d", m), Rank: m})
			}
			d := plan.Plan(picture, plan.Gang{Name: "g", Roles: []plan.Role{role}, Preferred: "leaf"}, nil, plan.Options{})
			a.Plans = append(a.Plans, fmt.Sprintf("need %d size %d: %v %v", i, size, d.Assignments, d.Why()))
		}
		for _, info := range w.nodes {
			name := info.Node().Name
			a.Scores[fmt.Sprintf("need %d on %s", i, name)] = plan.Score(picture, need.Need, name)
		}
	}
	return a
}

// An updated cache gives the planner the same state as a new cache.
func TestKeptCacheEqualsFreshCache(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			kept := w.cache()
			for step := range 5 {
				for range 1 + w.rnd.IntN(8) {
					w.change()
				}
				if diff := cmp.Diff(w.ask(w.cache(), nil), w.ask(kept, nil)); diff != "" {
					t.Fatalf("step %d: fresh cache and kept one (-want,+got):\n%s", step, diff)
				}
			}
		})
	}
}

// Refresh subtracts holds, and restores the amounts once the holds are gone.
func TestHoldsAreSubtracted(t *testing.T) {
	w := newWorld(t, 0)
	cache := w.cache()
	before := w.ask(cache, nil)
	during := w.ask(cache, func(needs []cluster.PodNeed) []gangs.Hold {
		var holds []gangs.Hold
		for _, info := range w.nodes[1:] {
			for range 4 { // a node has the eight GPUs of four members
				holds = append(holds, gangs.Hold{Node: info.Node().Name, Need: cache.CapacityOf(needs[1].Need)})
			}
		}
		return holds
	})
	for _, info := range w.nodes {
		name := info.Node().Name
		fits := during.Scores["need 1 on "+name] >= 0
		if want := name == w.nodes[0].Node().Name; fits != want {
			t.Errorf("two GPUs fit on node %s: %v, want %v", name, fits, want)
		}
	}
	if diff := cmp.Diff(before, w.ask(cache, nil)); diff != "" {
		t.Errorf("after the holds (-want,+got):\n%s", diff)
	}
}

// A pod with an allocated claim is pinned to the node of its devices.
func TestPinned(t *testing.T) {
	w := newWorld(t, 0)
	home := w.nodes[5].Node().Name
	allocated := twoGPUs("allocated")
	allocated.Status.Allocation = &resourceapi.AllocationResult{NodeSelector: &v1.NodeSelector{
		NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchFields: []v1.NodeSelectorRequirement{
			{Key: "metadata.name", Operator: v1.NodeSelectorOpIn, Values: []string{home}},
		}}},
	}}
	anywhere := twoGPUs("anywhere")
	anywhere.Status.Allocation = &resourceapi.AllocationResult{}
	w.dra.claims["allocated"], w.dra.claims["anywhere"] = allocated, anywhere
	tests := map[string]struct {
		pod  *v1.Pod
		want string
	}{
		"no claim":                           {pod: pod("p", "1")},
		"a claim to be allocated":            {pod: withClaim(pod("p", "1"), "two")},
		"a claim allocated on a node":        {pod: withClaim(pod("p", "1"), "allocated"), want: home},
		"a claim of devices in reach of all": {pod: withClaim(pod("p", "1"), "anywhere")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cache := w.cache()
			if _, err := cache.Read([]*v1.Pod{tc.pod}); err != nil {
				t.Fatalf("Read: %v", err)
			}
			got, err := cache.Pinned(tc.pod, w.infos())
			if err != nil {
				t.Fatalf("Pinned: %v", err)
			}
			if got != tc.want {
				t.Errorf("pinned to %q, want %q", got, tc.want)
			}
		})
	}
	if _, err := w.cache().Pinned(withClaim(pod("p", "1"), "missing"), w.infos()); !errors.Is(err, errNoSuchObject) {
		t.Errorf("a claim that does not exist: error %v", err)
	}
}
