// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// sharers is a PodGroup whose members share claims, and the scheduler's cycles for it.
type sharers struct {
	*world
	plugin plugin
	group  *schedulingv1beta1.PodGroup
	pods   []*v1.Pod
	// ours are claims of the PodGroup and its pods. theirs are claims that all pods name
	// but the PodGroup does not. own has one claim per pod.
	ours, theirs, own []*resourceapi.ResourceClaim
	// writes counts the successful writes by claim. failing is the number of writes to
	// refuse.
	writes  sync.Map
	failing atomic.Int32
}

var errQuota = apierrors.NewForbidden(resourceapi.Resource("resourceclaims"), "", errors.New("quota"))

// newSharers makes a PodGroup of size members. Each has all shared claims, in random order.
// The PodGroup names its claims or makes them from a template.
func newSharers(t *testing.T, random *rand.Rand, size int) *sharers {
	featuregatetesting.SetFeatureGatesDuringTest(t, utilfeature.DefaultFeatureGate, featuregatetesting.FeatureOverrides{
		features.GenericWorkload: true, features.DRAWorkloadResourceClaims: true,
	})
	s := &sharers{group: &schedulingv1beta1.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "train", UID: "group-train"}}}
	for i := range 1 + random.IntN(2) {
		s.ours = append(s.ours, s.groupClaim(fmt.Sprintf("ours-%d", i), i%2 == random.IntN(2)))
	}
	for i := range random.IntN(2) {
		s.theirs = append(s.theirs, claim(fmt.Sprintf("theirs-%d", i), "1 gpu.nvidia.com"))
	}
	for i := range size {
		own := claim(fmt.Sprintf("own-%d", i), "1 gpu.nvidia.com")
		s.own = append(s.own, own)
		s.pods = append(s.pods, s.member(fmt.Sprintf("train-%d", i), own, random))
	}
	var objects []runtime.Object
	for _, name := range slices.Concat(s.ours, s.theirs, s.own) {
		name.ResourceVersion = "1"
		objects = append(objects, name)
	}
	s.world = newWorld(t, twoNodes, objects...)
	s.handle.groups = map[string]*schedulingv1beta1.PodGroup{s.group.Name: s.group}
	s.serve()
	s.plugin = s.world.ours()
	return s
}

func (s *sharers) groupClaim(name string, made bool) *resourceapi.ResourceClaim {
	created := claim(name, "1 gpu.nvidia.com")
	asked := schedulingv1beta1.PodGroupResourceClaim{Name: name, ResourceClaimName: &created.Name}
	if made {
		asked.ResourceClaimName, asked.ResourceClaimTemplateName = nil, ptr.To("template")
		created.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "scheduling.k8s.io/v1beta1", Kind: "PodGroup", Name: s.group.Name, UID: s.group.UID, Controller: ptr.To(true),
		}}
	}
	s.group.Spec.ResourceClaims = append(s.group.Spec.ResourceClaims, asked)
	return created
}

func (s *sharers) member(name string, own *resourceapi.ResourceClaim, random *rand.Rand) *v1.Pod {
	pod := podWith(name, append(slices.Clone(s.theirs), own)...)
	pod.Spec.SchedulingGroup = &v1.PodSchedulingGroup{PodGroupName: &s.group.Name}
	for i, of := range s.group.Spec.ResourceClaims {
		pod.Spec.ResourceClaims = append(pod.Spec.ResourceClaims, v1.PodResourceClaim{
			Name: of.Name, ResourceClaimName: of.ResourceClaimName, ResourceClaimTemplateName: of.ResourceClaimTemplateName,
		})
		pod.Status.ResourceClaimStatuses = append(pod.Status.ResourceClaimStatuses, v1.PodResourceClaimStatus{Name: of.Name, ResourceClaimName: &s.ours[i].Name})
	}
	random.Shuffle(len(pod.Spec.ResourceClaims), func(i, j int) {
		pod.Spec.ResourceClaims[i], pod.Spec.ResourceClaims[j] = pod.Spec.ResourceClaims[j], pod.Spec.ResourceClaims[i]
	})
	return pod
}

// serve makes the fake API server refuse the same writes as a real one: a write to an old
// version, and two reservations for one user.
func (s *sharers) serve() {
	s.countVersions()
	tracker := s.handle.client.(*fake.Clientset).Tracker()
	s.handle.client.(*fake.Clientset).PrependReactor("update", "resourceclaims", func(action clienttesting.Action) (bool, runtime.Object, error) {
		next := action.(clienttesting.UpdateAction).GetObject().(*resourceapi.ResourceClaim)
		obj, err := tracker.Get(action.GetResource(), next.Namespace, next.Name)
		if err != nil {
			return true, nil, err
		}
		if s.failing.Add(-1) >= 0 {
			return true, nil, errQuota
		}
		if now := obj.(*resourceapi.ResourceClaim); now.ResourceVersion != next.ResourceVersion {
			return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), next.Name, errors.New("it changed"))
		}
		users := map[string]bool{}
		for _, user := range next.Status.ReservedFor {
			if users[string(user.UID)] {
				return true, nil, fmt.Errorf("claim %s: reservedFor: duplicate value %s", next.Name, user.Name)
			}
			users[string(user.UID)] = true
		}
		count, _ := s.writes.LoadOrStore(next.Name, &atomic.Int32{})
		count.(*atomic.Int32).Add(1)
		return false, nil, nil
	})
}

// evaluate runs members through a PodGroup cycle: each reserves the node, then all
// unreserve. said is the reason for a refusal, "" if there is none.
func (s *sharers) evaluate(node int, planned bool, pods ...*v1.Pod) (trips []*trip, said string) {
	info, cycle := s.nodes[node], framework.NewCycleState()
	for _, pod := range pods {
		made := s.trip(s.plugin, pod)
		made.node = info.Node().Name
		made.state.SetPodGroupSchedulingCycle(cycle)
		if planned {
			cluster.SetPlanned(made.state, cluster.Planned{Node: made.node, Rail: -1, Gang: "schedulinggroup ml/train"})
		}
		_, status := s.plugin.PreFilter(context.Background(), made.state, pod, s.nodes[node:node+1])
		if status.IsSuccess() {
			status = s.plugin.Filter(context.Background(), made.state, pod, info)
		}
		if !status.IsSuccess() {
			said = pod.Name + ": " + status.Message()
			break
		}
		if said = made.reserve(); said != "" {
			break
		}
		trips = append(trips, made)
	}
	leaveAll(trips)
	return trips, said
}

func leaveAll(trips []*trip) {
	for i := len(trips) - 1; i >= 0; i-- {
		trips[i].leave()
	}
}

// assume repeats the reservations, as the scheduler does for a hierarchy before it decides.
func (s *sharers) assume(trips []*trip) {
	for _, done := range trips {
		if said := done.reserve(); said != "" {
			s.Fatalf("pod %s cannot be assumed: %s", done.pod.Name, said)
		}
	}
	leaveAll(trips)
}

// bind reserves the members in order and runs their bindings concurrently. It returns the
// failures by pod name.
func (s *sharers) bind(trips []*trip) (failed map[string]string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed = map[string]string{}
	for _, done := range trips {
		done.state.SetPodGroupSchedulingCycle(nil)
		if said := done.reserve(); said != "" {
			s.Fatalf("pod %s cannot be reserved for good: %s", done.pod.Name, said)
		}
		wg.Go(func() {
			status := s.plugin.(fwk.PreBindPlugin).PreBind(context.Background(), done.state, done.pod, done.node)
			if !status.IsSuccess() {
				done.leave()
				mu.Lock()
				defer mu.Unlock()
				failed[done.pod.Name] = status.Message()
			}
		})
	}
	wg.Wait()
	return failed
}

func (s *sharers) now(c *resourceapi.ResourceClaim) *resourceapi.ResourceClaim {
	now, err := s.handle.client.ResourceV1().ResourceClaims("ml").Get(context.Background(), c.Name, metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return now
}

// check verifies the state after all members are bound. Every claim has a device of the
// node, and no two have the same. Nothing is pending. The PodGroup's claims are reserved
// for the PodGroup, and the others for the pods that name them.
func (s *sharers) check(node int) {
	s.Helper()
	seen := map[string]string{}
	for _, c := range slices.Concat(s.ours, s.theirs, s.own) {
		now, users := s.now(c), []string{}
		for _, user := range now.Status.ReservedFor {
			users = append(users, user.Resource+"/"+user.Name)
		}
		slices.Sort(users)
		if diff := cmp.Diff(s.users(c), users); diff != "" {
			s.Errorf("claim %s is reserved for (-want,+got):\n%s", c.Name, diff)
		}
		if s.handle.manager.ResourceClaims().GetPendingAllocation(c.UID) != nil {
			s.Errorf("claim %s is still pending", c.Name)
		}
		if now.Status.Allocation == nil {
			s.Errorf("claim %s has no devices", c.Name)
			continue
		}
		for _, result := range now.Status.Allocation.Devices.Results {
			if other := seen[result.Device]; other != "" || result.Pool != s.nodes[node].Node().Name {
				s.Errorf("claim %s has %s/%s, which claim %q has as well", c.Name, result.Pool, result.Device, other)
			}
			seen[result.Device] = c.Name
		}
	}
}

func (s *sharers) users(c *resourceapi.ResourceClaim) []string {
	if slices.Contains(s.ours, c) {
		return []string{"podgroups/train"}
	}
	var users []string
	for i, pod := range s.pods {
		if !slices.Contains(s.own, c) || s.own[i] == c {
			users = append(users, "pods/"+pod.Name)
		}
	}
	return users
}

// Members of a PodGroup that share claims get one allocation per claim, whatever
// reservations the cycle makes and undoes before. No member fails, and no claim is written
// twice.
func TestMembersOfAPodGroupShareClaims(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			s := newSharers(t, random, 2+random.IntN(4))
			planned := random.IntN(4) > 0
			for range random.IntN(3) { // planned on another node and refused
				s.evaluate(1, planned, s.pods[:1+random.IntN(len(s.pods))]...)
				s.idle()
			}
			trips, said := s.evaluate(0, planned, s.pods...)
			if said != "" {
				t.Fatal(said)
			}
			s.idle()
			for range random.IntN(3) {
				s.assume(trips)
				s.idle()
			}
			if failed := s.bind(trips); len(failed) > 0 {
				t.Fatalf("bindings failed: %v", failed)
			}
			s.check(0)
			for _, c := range s.ours {
				if writes, _ := s.writes.Load(c.Name); writes.(*atomic.Int32).Load() != 2 {
					t.Errorf("claim %s was written %d times, want once for its finalizer and once for its devices", c.Name, writes.(*atomic.Int32).Load())
				}
			}
		})
	}
}

// idle verifies that no device is in use or reserved.
func (s *sharers) idle() {
	s.Helper()
	for _, c := range slices.Concat(s.ours, s.theirs, s.own) {
		if s.handle.manager.ResourceClaims().GetPendingAllocation(c.UID) != nil {
			s.Fatalf("claim %s is pending, though nobody has a node", c.Name)
		}
	}
	if used := s.inUse(); len(used) > 0 {
		s.Fatalf("in use: %v", used)
	}
}

// If the API server refuses a write, some members fail. Each failed member joins the others
// in a later cycle, on the node of the claims.
func TestSharersComeBack(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			s := newSharers(t, random, 3)
			left, node := s.pods, 0
			for round := 0; len(left) > 0; round++ {
				if round > 5 {
					t.Fatalf("still without a node: %d pods", len(left))
				}
				trips, said := s.evaluate(node, true, left...)
				if said != "" {
					t.Fatal(said)
				}
				if round == 0 {
					s.failing.Store(int32(1 + random.IntN(3)))
				}
				failed := s.bind(trips)
				s.failing.Store(0)
				left = slices.DeleteFunc(slices.Clone(left), func(pod *v1.Pod) bool { return failed[pod.Name] == "" })
			}
			s.check(node)
		})
	}
}

// A member that arrives while the others are bound shares their claims at once.
func TestLateSharer(t *testing.T) {
	s := newSharers(t, rand.New(rand.NewPCG(1, 2)), 3)
	trips, said := s.evaluate(0, true, s.pods[:2]...)
	if said != "" {
		t.Fatal(said)
	}
	for _, done := range trips {
		done.state.SetPodGroupSchedulingCycle(nil)
		if said := done.reserve(); said != "" {
			t.Fatal(said)
		}
	}
	late, said := s.evaluate(0, true, s.pods[2])
	if said != "" {
		t.Fatalf("the late member is refused: %s", said)
	}
	done := make(chan map[string]string, 1)
	go func() { done <- s.bind(late) }()
	for _, done := range trips {
		if status := s.plugin.(fwk.PreBindPlugin).PreBind(context.Background(), done.state, done.pod, done.node); !status.IsSuccess() {
			t.Errorf("binding %s: %v", done.pod.Name, status)
		}
	}
	if failed := <-done; len(failed) > 0 {
		t.Errorf("the late member failed: %v", failed)
	}
	s.check(0)
}
