// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	schedulercache "k8s.io/kubernetes/pkg/scheduler/backend/cache"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

const profileName = "dovetail"

// handle runs one filter on a snapshot. The filter refuses the listed nodes.
type handle struct {
	fwk.Handle
	snapshot fwk.SharedLister
	refused  map[string]bool
	// everywhere is the message of a PreFilter plugin that refuses every node.
	everywhere string
	// copies is the number of simulated copies of a pod.
	copies int
	// removed is the number of simulated removals of a pod.
	removed int
	// alone is a node on which the filter accepts no pod beside another.
	alone string
}

func (h *handle) ProfileName() string                    { return profileName }
func (h *handle) SnapshotSharedLister() fwk.SharedLister { return h.snapshot }

func (h *handle) RunPreFilterPlugins(_ context.Context, state fwk.CycleState, _ *v1.Pod) (*fwk.PreFilterResult, *fwk.Status, sets.Set[string]) {
	if !IsDryRun(state) {
		return nil, fwk.NewStatus(fwk.Error, "the state is not that of a dry run"), nil
	}
	if h.everywhere != "" {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, h.everywhere), nil
	}
	return nil, nil, nil
}

func (h *handle) RunPreFilterExtensionAddPod(context.Context, fwk.CycleState, *v1.Pod, fwk.PodInfo, fwk.NodeInfo) *fwk.Status {
	h.copies++
	return nil
}

func (h *handle) RunPreFilterExtensionRemovePod(context.Context, fwk.CycleState, *v1.Pod, fwk.PodInfo, fwk.NodeInfo) *fwk.Status {
	h.removed++
	return nil
}

func (h *handle) RunFilterPlugins(_ context.Context, _ fwk.CycleState, _ *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	if h.refused[info.Node().Name] || h.alone == info.Node().Name && len(info.GetPods()) > 0 {
		return fwk.NewStatus(fwk.Unschedulable, "node(s) are haunted").WithPlugin("Ghosts")
	}
	return nil
}

// fixture is a cluster of two leaves, l1 and l2, with two nodes of 4 CPUs each.
type fixture struct {
	*testing.T
	handle *handle
	placer *Placer
	nodes  []fwk.NodeInfo
}

func newFixture(t *testing.T, running ...*v1.Pod) *fixture {
	var nodes []*v1.Node
	for _, name := range []string{"l1-a", "l1-b", "l2-a", "l2-b"} {
		nodes = append(nodes, &v1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"leaf": name[:2]}},
			Status:     v1.NodeStatus{Allocatable: v1.ResourceList{v1.ResourceCPU: resource.MustParse("4"), v1.ResourcePods: resource.MustParse("10")}},
		})
	}
	snapshot := schedulercache.NewSnapshot(running, nodes)
	infos, err := snapshot.NodeInfos().List()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(infos, func(a, b fwk.NodeInfo) int { return cmpNames(a.Node(), b.Node()) })
	profile := &cluster.Profile{}
	profile.SetLevels([]cluster.Level{{Name: "leaf", NodeLabel: "leaf"}})
	h := &handle{snapshot: snapshot, refused: map[string]bool{}}
	return &fixture{T: t, handle: h, nodes: infos, placer: New(h, profile, Options{SearchBudget: 10000, MaxBypass: time.Minute})}
}

func cmpNames(a, b *v1.Node) int {
	if a.Name < b.Name {
		return -1
	}
	return 1
}

func cpuPod(name, cpu, node string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID("uid-" + name)},
		Spec: v1.PodSpec{NodeName: node, SchedulerName: profileName, Containers: []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{
			Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu)},
		}}}},
	}
}

// gangOf returns a request of members with 4 CPUs each, in one leaf, with the given quorum.
func gangOf(members, quorum int) gangs.Request {
	key := gangs.CoschedulingKey("ml", "train")
	request := gangs.Request{Gang: gangs.Gang{
		Key: key, Min: quorum, Roles: []gangs.Role{{Name: "w", Min: quorum}}, Topology: gangs.Topology{Required: "leaf"},
	}}
	for i := range members {
		request.Members = append(request.Members, gangs.Member{
			Key: key, Pod: cpuPod(fmt.Sprint("train-", i), "4", ""), Role: "w", Rank: gangs.Rank{Known: true, Index: int64(i)}, Signature: 100,
		})
	}
	return request
}

func (f *fixture) place(request gangs.Request) Outcome {
	f.Helper()
	out, err := f.placer.Place(f.Context(), request, f.nodes)
	if err != nil {
		f.Fatal(err)
	}
	return out
}

// sentences returns the parts of an Outcome that users read or callers switch on.
func sentences(out Outcome) Outcome {
	out.Assignment = gangs.Assignment{}
	return out
}

func (f *fixture) check(got, want Outcome) {
	f.Helper()
	if diff := cmp.Diff(want, sentences(got)); diff != "" {
		f.Errorf("outcome (-want,+got):\n%s", diff)
	}
}

func (f *fixture) checkNodes(got map[types.UID]string, want ...string) {
	f.Helper()
	if diff := cmp.Diff(want, slices.Sorted(maps.Values(got))); diff != "" {
		f.Errorf("nodes (-want,+got):\n%s", diff)
	}
}

func TestPlaceAssignsEveryMember(t *testing.T) {
	f := newFixture(t)
	request := gangOf(2, 2)
	request.Done = map[string]int{}
	out := f.place(request)
	f.check(out, Outcome{Placed: true, Searched: true})
	f.checkNodes(out.Assignment.Nodes, "l1-a", "l1-b")
	out.Assignment.Nodes, out.Assignment.Needs = nil, nil
	want := gangs.Assignment{
		Rails: map[types.UID]int{"uid-train-0": -1, "uid-train-1": -1}, Roles: map[types.UID]gangs.RoleSignature{"uid-train-0": {Role: "w", Signature: 100}, "uid-train-1": {Role: "w", Signature: 100}},
		Pinned: map[types.UID]bool{}, Short: map[string]int{"w": 2}, Domain: "leaf l1",
	}
	if diff := cmp.Diff(want, out.Assignment); diff != "" {
		t.Errorf("assignment (-want,+got):\n%s", diff)
	}
}

func TestPlaceCountsPlacedMembers(t *testing.T) {
	runs := cpuPod("train-0", "4", "l2-b")
	f := newFixture(t, runs)
	request := gangOf(2, 2)
	request.Members[0].Pod = runs
	request.Placed = map[types.UID]string{runs.UID: "l2-b"}
	out := f.place(request)
	f.check(out, Outcome{Placed: true, Searched: true})
	f.checkNodes(out.Assignment.Nodes, "l2-a")
	if diff := cmp.Diff(map[string]int{"w": 1}, out.Assignment.Short); diff != "" {
		t.Errorf("members that the quorum lacks (-want,+got):\n%s", diff)
	}
}

func TestPlaceReportsMembersBeyondTheQuorum(t *testing.T) {
	f := newFixture(t)
	f.check(f.place(gangOf(3, 2)), Outcome{Placed: true, Searched: true,
		Surplus: "gang podgroup ml/train has its quorum of 2 in leaf l1; no room for 1 more members that may join it; 2 nodes with members are full: cpu 2 (4 short)"})
}

func TestSurplus(t *testing.T) {
	gang := &gangs.Gang{Key: gangs.CoschedulingKey("ml", "a"), Min: 4}
	in := plan.Domain{Level: "leaf", Path: "s1/l2"}
	tests := map[int]string{
		0: "",
		2: "gang podgroup ml/a has its quorum of 4 in leaf s1/l2; no room for 2 more members that may join it",
	}
	for unplaced, want := range tests {
		got := surplus(gang, &plan.Decision{Placed: true, Domain: in, Unplaced: unplaced})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d without room (-want,+got):\n%s", unplaced, diff)
		}
	}
}

func TestPlaceUsesWhatFiltersAccept(t *testing.T) {
	f := newFixture(t)
	f.handle.refused["l1-b"] = true
	f.checkNodes(f.place(gangOf(2, 2)).Assignment.Nodes, "l2-a", "l2-b")
}

func TestPlaceSimulatesTheMembersBefore(t *testing.T) {
	f := newFixture(t)
	request := gangOf(2, 2)
	for i := range request.Members {
		request.Members[i].Pod = cpuPod(request.Members[i].Pod.Name, "2", "")
	}
	f.checkNodes(f.place(request).Assignment.Nodes, "l1-a", "l1-a")
	if f.handle.copies == 0 {
		t.Error("the filters never ran with another member on the node")
	}
}

func TestPlaceRefuses(t *testing.T) {
	tests := map[string]struct {
		request func(*gangs.Request)
		filters func(*handle)
		want    Outcome
	}{
		"unknown level": {
			request: func(r *gangs.Request) { r.Gang.Topology.Required = "rack" },
			want: Outcome{
				Refusal: `annotation dovetail.dev/topology-required of podgroup ml/train names level "rack"; the levels here are leaf, node`},
		},
		"unknown alignment": {
			request: func(r *gangs.Request) { r.Gang.Topology.Alignment = "always" },
			want: Outcome{
				Refusal: alignmentError("always", "podgroup ml/train")},
		},
		"a PreFilter plugin": {
			filters: func(h *handle) { h.everywhere = "no volume" },
			want:    Outcome{Searched: true, Refusal: "gang podgroup ml/train: pod train-0: no volume"},
		},
		"filters": {
			filters: func(h *handle) { h.refused = map[string]bool{"l1-a": true, "l2-b": true} },
			want: Outcome{Searched: true,
				Refusal: `gang podgroup ml/train: 1 of 2 members fit leaf l1; excluded 1 node: filters 1 (1 by Ghosts: "node(s) are haunted"); 1 node with members is full: cpu 1 (4 short); would fit with 1 more node in that leaf`},
		},
		"a node that is reserved for another gang": {
			request: func(r *gangs.Request) {
				r.Reserved, r.Holder = map[string]bool{"l1-a": true, "l2-b": true}, gangs.CoschedulingKey("ml", "large")
			},
			want: Outcome{Searched: true, HeldBack: true,
				Refusal: "gang podgroup ml/train: held back: 1 of its 2 nodes is reserved for podgroup ml/large, which has been bypassed longer than maxBypass (1m0s)"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			request := gangOf(2, 2)
			if tc.request != nil {
				tc.request(&request)
			}
			if tc.filters != nil {
				tc.filters(f.handle)
			}
			f.check(f.place(request), tc.want)
		})
	}
}

func alignmentError(value, object string) string {
	_, err := gangs.ParseAlignment(value, object)
	return err.Error()
}

func TestPlaceAvoidsReservedNodes(t *testing.T) {
	f := newFixture(t)
	request := gangOf(2, 2)
	request.Reserved = map[string]bool{"l1-a": true}
	out := f.place(request)
	f.check(out, Outcome{Placed: true, Searched: true})
	f.checkNodes(out.Assignment.Nodes, "l2-a", "l2-b")
}

func TestShareOf(t *testing.T) {
	for want, n := range map[string][2]int{
		"its only node is": {1, 1}, "1 of its 4 nodes is": {1, 4}, "2 of its 4 nodes are": {2, 4}, "4 of its 4 nodes are": {4, 4},
	} {
		if got := shareOf(n[0], n[1]); got != want {
			t.Errorf("%d of %d: %q, want %q", n[0], n[1], got, want)
		}
	}
}

func TestPlacePrefersAllMembers(t *testing.T) {
	f := newFixture(t, cpuPod("other", "4", "l1-a"))
	request := gangOf(2, 1)
	if out := f.place(request); len(out.Assignment.Nodes) == 0 {
		t.Errorf("the quorum has no place: %s", out.Refusal)
	}
	request.PreferAll = true
	f.checkNodes(f.place(request).Assignment.Nodes, "l2-a", "l2-b")
}

func TestFitsWithout(t *testing.T) {
	busy := []*v1.Pod{cpuPod("x", "4", "l1-a"), cpuPod("y", "4", "l2-a")}
	f := newFixture(t, busy...)
	f.check(f.place(gangOf(2, 2)), Outcome{Searched: true, Refusal: "gang podgroup ml/train: 1 of 2 members fit leaf l1; excluded 1 node: cpu 1; 1 node with members is full: cpu 1 (4 short); would fit with 4 more cpu on l1-a or 1 more node in that leaf"})
	for gone, want := range map[int]bool{0: false, 1: true} {
		got, err := f.placer.FitsWithout(t.Context(), gangOf(2, 2), busy[:gone], f.nodes)
		if err != nil || got != want {
			t.Errorf("without %d pods the gang fits: %v, %v, want %v", gone, got, err, want)
		}
	}
	moving := gangOf(2, 2)
	moving.Members[0].Pod.Spec.NodeName = "l2-b"
	if got, err := f.placer.FitsWithout(t.Context(), moving, busy[:1], f.nodes); err != nil || !got {
		t.Errorf("the gang with a bound member fits: %v, %v", got, err)
	}
}

func TestNodesToReserve(t *testing.T) {
	foreign := cpuPod("z", "1", "l1-b")
	foreign.Spec.SchedulerName = "default-scheduler"
	f := newFixture(t, cpuPod("x", "4", "l1-a"), foreign, cpuPod("y", "2", "l2-a"), cpuPod("y2", "1", "l2-a"))
	got, err := f.placer.NodesToReserve(t.Context(), gangOf(2, 2), f.nodes)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"l2-a": true, "l2-b": true}, got); diff != "" {
		t.Errorf("nodes (-want,+got):\n%s", diff)
	}
	if got, err := f.placer.NodesToReserve(t.Context(), gangOf(3, 3), f.nodes); got != nil || err != nil {
		t.Errorf("%v, %v for a gang that fits no leaf, want no nodes", got, err)
	}
}

func TestExcludeNodes(t *testing.T) {
	f := newFixture(t)
	if _, status := ExcludeNodes(nil, f.nodes); !status.IsSkip() {
		t.Errorf("status %v without reserved nodes, want Skip", status)
	}
	result, status := ExcludeNodes(map[string]bool{"l1-a": true}, f.nodes)
	if diff := cmp.Diff([]string{"l1-b", "l2-a", "l2-b"}, sets.List(result.NodeNames)); diff != "" || !status.IsSuccess() {
		t.Errorf("status %v, nodes (-want,+got):\n%s", status, diff)
	}
}

func TestNodeEligible(t *testing.T) {
	pod := cpuPod("p", "1", "")
	pod.Spec.NodeSelector = map[string]string{"shape": "large"}
	node := func(edit func(*v1.Node)) *v1.Node {
		n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"shape": "large"}}}
		edit(n)
		return n
	}
	tests := map[string]struct {
		node *v1.Node
		want bool
	}{
		"it matches":     {node(func(*v1.Node) {}), true},
		"another label":  {node(func(n *v1.Node) { n.Labels["shape"] = "small" }), false},
		"a taint":        {node(func(n *v1.Node) { n.Spec.Taints = []v1.Taint{{Key: "x", Effect: v1.TaintEffectNoExecute}} }), false},
		"a preference":   {node(func(n *v1.Node) { n.Spec.Taints = []v1.Taint{{Key: "x", Effect: v1.TaintEffectPreferNoSchedule}} }), true},
		"it is cordoned": {node(func(n *v1.Node) { n.Spec.Unschedulable = true }), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := NodeEligible(pod, tc.node); got != tc.want {
				t.Errorf("eligible %v, want %v", got, tc.want)
			}
		})
	}
}
