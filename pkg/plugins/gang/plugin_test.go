// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// queued puts a pod as the queue holds it.
func queued(t testing.TB, pod *v1.Pod, at time.Time) *framework.QueuedPodInfo {
	t.Helper()
	info, err := framework.NewPodInfo(pod)
	if err != nil {
		t.Fatalf("reading pod %s: %v", pod.Name, err)
	}
	return &framework.QueuedPodInfo{PodInfo: info, QueueingParams: framework.QueueingParams{Timestamp: at}}
}

// plugin returns the parts of the plugin that need no scheduler around it.
func (w *world) plugin(nodes ...*v1.Node) *Gang {
	store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, node := range nodes {
		if err := store.Add(node); err != nil {
			w.t.Fatalf("storing node %s: %v", node.Name, err)
		}
	}
	return &Gang{sources: w.book.sources, book: w.book, nodes: corelisters.NewNodeLister(store)}
}

// The queue's order is a strict weak order in which members of one gang stand
// next to each other, whenever they came.
func TestLess(t *testing.T) {
	w := newWorld(t, 0)
	g := w.plugin()
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []*framework.QueuedPodInfo
	for i := range 120 {
		name, born := string(rune('a'+i/26))+string(rune('a'+i%26)), epoch.Add(time.Duration(rnd.IntN(4))*time.Second)
		pod := member([]string{"a", "b", "c", ""}[rnd.IntN(4)], name)
		pod.CreationTimestamp = metav1.NewTime(born)
		if pod.Labels[gangs.CoschedulingLabel] == "c" {
			pod.Spec.Priority = new(int32)
			*pod.Spec.Priority = 7
		}
		w.book.upsert(pod)
		all = append(all, queued(t, pod, born))
	}
	for _, a := range all {
		for _, b := range all {
			g.ordered(t, a, b, all[rnd.IntN(len(all))])
		}
	}
	slices.SortFunc(all, func(a, b *framework.QueuedPodInfo) int {
		switch {
		case g.Less(a, b):
			return -1
		case g.Less(b, a):
			return 1
		}
		return 0
	})
	var order []string
	for _, one := range all {
		if gang := one.Pod.Labels[gangs.CoschedulingLabel]; gang != "" {
			order = append(order, gang)
		}
	}
	if got := slices.Compact(order); len(got) != 3 || got[0] != "c" {
		t.Errorf("gangs stand in the order %v: not each in one place, by priority", got)
	}
}

// ordered holds three pods against the laws of a strict weak order.
func (g *Gang) ordered(t *testing.T, a, b, c *framework.QueuedPodInfo) {
	t.Helper()
	if g.Less(a, b) && g.Less(b, a) {
		t.Errorf("%s and %s stand before each other", a.Pod.Name, b.Pod.Name)
	}
	if g.Less(a, b) && g.Less(b, c) && !g.Less(a, c) {
		t.Errorf("%s, %s, %s: not transitive", a.Pod.Name, b.Pod.Name, c.Pod.Name)
	}
	if equal(g, a, b) && equal(g, b, c) && !equal(g, a, c) {
		t.Errorf("%s, %s, %s: equality is not transitive", a.Pod.Name, b.Pod.Name, c.Pod.Name)
	}
}

func equal(g *Gang, a, b fwk.QueuedEntityInfo) bool { return !g.Less(a, b) && !g.Less(b, a) }

func claim(name string, allocated bool) *resourceapi.ResourceClaim {
	c := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name}}
	if allocated {
		c.Status.Allocation = &resourceapi.AllocationResult{}
	}
	return c
}

// What wakes a member of a gang that was refused.
func TestHints(t *testing.T) {
	pod := member("a", "p")
	pod.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimName: new(string)}}
	*pod.Spec.ResourceClaims[0].ResourceClaimName = "mine"
	near := pod.DeepCopy()
	near.Spec.Affinity = &v1.Affinity{PodAffinity: &v1.PodAffinity{}}
	labelled := pod.DeepCopy()
	labelled.Labels["x"] = "y"
	told := pod.DeepCopy()
	told.Status.Conditions = []v1.PodCondition{{Type: v1.PodScheduled, Message: "no room"}}
	ending := pod.DeepCopy()
	ending.DeletionTimestamp = &metav1.Time{Time: epoch}
	runs := on1(member("b", "r"), "n")
	kin := on1(member("a", "q"), "n")
	elsewhere := on1(member("b", "r"), "tainted")
	tainted := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "tainted"}, Spec: v1.NodeSpec{Taints: []v1.Taint{{Key: "x", Effect: v1.TaintEffectNoSchedule}}}}
	choosy := pod.DeepCopy()
	choosy.Spec.NodeSelector = map[string]string{"shape": "large"}
	cordoned := &v1.Node{Spec: v1.NodeSpec{Unschedulable: true}}

	tests := map[string]struct {
		pod      *v1.Pod
		event    fwk.ClusterEvent
		old, new any
		want     fwk.QueueingHint
	}{
		"a node comes":                       {pod, event(fwk.Node, fwk.Add), nil, &v1.Node{}, fwk.Queue},
		"a node comes that is cordoned":      {pod, event(fwk.Node, fwk.Add), nil, cordoned, fwk.QueueSkip},
		"a node comes that it may not use":   {choosy, event(fwk.Node, fwk.Add), nil, &v1.Node{}, fwk.QueueSkip},
		"a pod goes where it may not stand":  {pod, event(fwk.AssignedPod, fwk.Delete), elsewhere, nil, fwk.QueueSkip},
		"a pod of another gang goes":         {pod, event(fwk.AssignedPod, fwk.Delete), runs, nil, fwk.Queue},
		"a pod of its own gang goes":         {pod, event(fwk.AssignedPod, fwk.Delete), kin, nil, fwk.QueueSkip},
		"a pod comes to run":                 {pod, event(fwk.AssignedPod, fwk.Add), nil, runs, fwk.QueueSkip},
		"a pod comes that it may want near":  {near, event(fwk.AssignedPod, fwk.Add), nil, runs, fwk.Queue},
		"one of its own comes, wanted near":  {near, event(fwk.AssignedPod, fwk.Add), nil, kin, fwk.QueueSkip},
		"its condition is written":           {pod, event(fwk.TargetPod, fwk.Update), pod, told, fwk.QueueSkip},
		"its labels change":                  {labelled, event(fwk.TargetPod, fwk.Update), pod, labelled, fwk.Queue},
		"it is being deleted, a node comes":  {ending, event(fwk.Node, fwk.Add), nil, &v1.Node{}, fwk.QueueSkip},
		"a claim takes devices":              {pod, event(fwk.ResourceClaim, fwk.Update), claim("other", false), claim("other", true), fwk.QueueSkip},
		"a claim gives devices back":         {pod, event(fwk.ResourceClaim, fwk.Update), claim("other", true), claim("other", false), fwk.Queue},
		"a claim with devices is deleted":    {pod, event(fwk.ResourceClaim, fwk.Delete), claim("other", true), nil, fwk.Queue},
		"a claim without devices is deleted": {pod, event(fwk.ResourceClaim, fwk.Delete), claim("other", false), nil, fwk.QueueSkip},
		"its own claim comes":                {pod, event(fwk.ResourceClaim, fwk.Add), nil, claim("mine", false), fwk.Queue},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			key := w.groups.declare("a", 1)
			w.book.upsert(tc.pod)
			w.book.refuse(key, "no room", "", w.now)
			got := w.plugin(tainted).hint(t, tc.event)(tc.pod, tc.old, tc.new)
			if got != tc.want {
				t.Errorf("hint %v, want %v", got, tc.want)
			}
		})
	}
}

func event(resource fwk.EventResource, action fwk.ActionType) fwk.ClusterEvent {
	return fwk.ClusterEvent{Resource: resource, ActionType: action}
}

// hint asks every function that is registered for the event.
func (g *Gang) hint(t *testing.T, event fwk.ClusterEvent) func(pod *v1.Pod, old, new any) fwk.QueueingHint {
	t.Helper()
	registered, err := g.EventsToRegister(t.Context())
	if err != nil {
		t.Fatalf("EventsToRegister: %v", err)
	}
	return func(pod *v1.Pod, old, new any) fwk.QueueingHint {
		for _, one := range registered {
			if !framework.MatchClusterEvents(one.Event, event) {
				continue
			}
			if hint, err := one.QueueingHintFn(klog.Background(), pod, old, new); err != nil || hint == fwk.Queue {
				return fwk.Queue
			}
		}
		return fwk.QueueSkip
	}
}

// An event is shown to the members that wait, and to nobody whose cycle is still to
// come. If it may help one of those, the gang must ask again.
func TestEventsForMembersInTheQueue(t *testing.T) {
	p, q := member("a", "p"), member("a", "q")
	p.Spec.NodeSelector = map[string]string{"shape": "large"}
	of := func(pod *v1.Pod) *resourceapi.ResourceClaim {
		c := claim(pod.Name+"-devices", false)
		c.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(pod, v1.SchemeGroupVersion.WithKind("Pod"))}
		return c
	}
	tests := map[string]struct {
		event    fwk.ClusterEvent
		old, new any
		// after is how long before the event the gang was refused.
		after time.Duration
		asks  int
	}{
		"the other's claim comes":              {event(fwk.ResourceClaim, fwk.Add), nil, of(q), 0, 1},
		"a claim comes that anybody may name":  {event(fwk.ResourceClaim, fwk.Add), nil, claim("named", false), 0, 1},
		"the claim of a stranger comes":        {event(fwk.ResourceClaim, fwk.Add), nil, of(member("b", "r")), 0, 0},
		"a claim takes devices":                {event(fwk.ResourceClaim, fwk.Update), claim("named", false), claim("named", true), 0, 0},
		"a node comes for the other alone":     {event(fwk.Node, fwk.Add), nil, &v1.Node{}, 0, 1},
		"it comes when nobody is in the queue": {event(fwk.Node, fwk.Add), nil, &v1.Node{}, 2 * verdictLife, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			key := w.groups.declare("a", 2)
			w.book.upsert(p)
			w.book.upsert(q)
			refused := time.Now().Add(-tc.after)
			w.book.refuse(key, "no room", "", refused)
			if got := w.plugin().hint(t, tc.event)(p, tc.old, tc.new); got != fwk.QueueSkip {
				t.Errorf("hint %v for the member that waits, want %v", got, fwk.QueueSkip)
			}
			if pods := w.book.retry(key, refused.Add(firstBackoff)); len(pods) != tc.asks {
				t.Errorf("%d members ask when the gang has backed off, want %d", len(pods), tc.asks)
			}
		})
	}
}

// The member that completes the quorum must not open a gate that fell shut
// between its arrival and the opening.
func TestGateThatFellShutStaysShut(t *testing.T) {
	w := newWorld(t, 0)
	key := w.groups.declare("a", 1)
	p := member("a", "p")
	w.book.upsert(p)
	w.room = 1
	w.plan(key, "")
	w.book.reserve(key, p.UID, "node")
	what, att := w.book.arrive(key, p.UID)
	if what != last {
		t.Fatalf("arrival %v, want %v", what, last)
	}
	ended := w.book.remove(p).ended
	if ended != att || !w.book.fail(att, "deleted") {
		t.Fatal("the attempt outlives a member that it planned")
	}
	if _, _, ok := w.book.openGate(att); ok {
		t.Error("the gate opened")
	}
	if holders := w.book.holders(att); len(holders) != 1 {
		t.Errorf("%d members have to give back, want 1", len(holders))
	}
	w.book.unreserve(key, p.UID)
	if holders := w.book.holders(att); len(holders) != 0 {
		t.Errorf("%v still hold what they gave back, so draining never ends", holders)
	}
	w.book.clear(att, 1, w.now)
	if len(w.book.records) != 0 {
		t.Error("the record outlives its last member")
	}
}

// A member whose cycles end in errors must not make the others hold their
// places until the permit times out.
func TestErrorsOfOneMemberEndTheAttempt(t *testing.T) {
	w := newWorld(t, 0)
	key, _, q := w.pair("p", "q")
	w.room = 2
	w.plan(key, "")
	for range maxTries {
		if node, _, ended := w.book.turn(key, q.UID); node == "" || ended != nil {
			t.Fatal("the member is not given its tries")
		}
	}
	if _, refusal, ended := w.book.turn(key, q.UID); ended == nil || refusal == "" {
		t.Error("the member is tried again and again")
	}
}

func TestUnknownLevel(t *testing.T) {
	key := gangs.CoschedulingKey("ml", "a")
	of := func(required, preferred string) gangs.Topology {
		return gangs.Topology{Required: required, Preferred: preferred}
	}
	tests := map[string]struct {
		gang gangs.Gang
		want string
	}{
		"no wish":      {gang: gangs.Gang{Key: key}},
		"known levels": {gang: gangs.Gang{Key: key, Topology: of("spine", "leaf")}},
		"the node":     {gang: gangs.Gang{Key: key, Topology: of("node", "")}},
		"required": {
			gang: gangs.Gang{Key: key, Topology: of("rack", "")},
			want: `annotation dovetail.dev/topology-required of podgroup ml/a names level "rack"; the levels here are spine, leaf, node`,
		},
		"preferred, by a role": {
			gang: gangs.Gang{Key: key, Roles: []gangs.Role{{Name: "w", Topology: of("", "Leaf")}}},
			want: `annotation dovetail.dev/topology-preferred of podgroup ml/a names level "Leaf"; the levels here are spine, leaf, node`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := unknownLevel(tc.gang, []string{"spine", "leaf", "node"})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("sentence (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestLeftOut(t *testing.T) {
	p := planning{request: request{gang: gangs.Gang{Key: gangs.CoschedulingKey("ml", "a"), Min: 4}}}
	in := plan.Domain{Level: "leaf", Path: "s1/l2"}
	tests := map[int]string{
		0: "",
		2: "gang podgroup ml/a has its quorum of 4 in leaf s1/l2; no room for 2 more members that may join it",
	}
	for unplaced, want := range tests {
		got := p.leftOut(plan.Decision{Placed: true, Domain: in, Unplaced: unplaced})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d without room (-want,+got):\n%s", unplaced, diff)
		}
	}
}
