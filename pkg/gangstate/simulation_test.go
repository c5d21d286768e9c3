// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const profile = "dovetail"

var epoch = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// podGroups are the existing declarations, by name. All are in namespace ml.
type podGroups map[string]*schedv1alpha1.PodGroup

func (g podGroups) CoschedulingGroup(namespace, name string) (*schedv1alpha1.PodGroup, error) {
	if group, ok := g[name]; ok {
		return group, nil
	}
	return nil, &gangs.LookupError{Key: gangs.CoschedulingKey(namespace, name), Reason: gangs.ErrNotFound}
}

func (g podGroups) RayCluster(namespace, name string) (*rayv1.RayCluster, error) {
	return nil, &gangs.LookupError{Key: gangs.RayClusterKey(namespace, name), Reason: gangs.ErrNotFound}
}

func (g podGroups) RayJob(_ gangs.Key, namespace, name string) (*rayv1.RayJob, error) {
	return nil, &gangs.LookupError{Key: gangs.RayJobKey(namespace, name), Reason: gangs.ErrNotFound}
}

func (g podGroups) declare(name string, least int32) gangs.Key {
	g[name] = &schedv1alpha1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name)},
		Spec:       schedv1alpha1.PodGroupSpec{MinMember: least},
	}
	return gangs.CoschedulingKey("ml", name)
}

// member returns a pod of a gang that can be placed now.
func member(gang, name string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ml", Name: name, UID: types.UID("uid-" + name), Generation: 1,
			CreationTimestamp: metav1.NewTime(epoch),
			Labels:            map[string]string{gangs.CoschedulingLabel: gang},
		},
		Spec:   v1.PodSpec{SchedulerName: profile},
		Status: v1.PodStatus{Phase: v1.PodPending},
	}
}

func gated(pod *v1.Pod) *v1.Pod {
	pod.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: "example.com/later"}}
	return pod
}

func placedOn(pod *v1.Pod, node string) *v1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.NodeName = node
	return pod
}

// location is a pod's location in the queue and the scheduler.
type location int

const (
	idle    location = iota // gated or unschedulable: needs an activation
	active                  // its cycle comes
	waiting                 // past Permit with Wait
	binding                 // allowed
	bound
	ended
)

// simulation is a scheduler around one tracker, as seen by the tracker: it keeps pods in a
// queue, runs their cycles, and reports the results.
type simulation struct {
	t       *testing.T
	rnd     *rand.Rand
	groups  podGroups
	tracker *Tracker
	store   map[types.UID]*v1.Pod
	at      map[types.UID]location
	// releasing are the failed attempts whose members release their nodes.
	releasing []*Attempt
	// room is the number of further members that fit in the cluster, all on one node.
	room int
	made int
	now  time.Time
	// ordered gives plans an order of their members.
	ordered bool
	// lost are the pods whose binding ended without an answer; true if they are bound.
	lost map[types.UID]bool
	// claimless are the pods without their claim, and mute those that another PreEnqueue
	// plugin keeps out of the queue.
	claimless, mute map[types.UID]bool
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{
		t: t, rnd: rand.New(rand.NewPCG(seed, 0)), groups: podGroups{},
		store: map[types.UID]*v1.Pod{}, at: map[types.UID]location{}, now: epoch, ordered: seed%4 == 3,
		lost: map[types.UID]bool{}, claimless: map[types.UID]bool{}, mute: map[types.UID]bool{},
	}
	s.tracker = New(Options{
		Profile: profile, Sources: gangs.Sources{gangs.NewCoschedulingSource(s.groups, s.groups, nil)},
		Exists: func(pod *v1.Pod) bool { return s.store[pod.UID] != nil }, MaxReplans: 2, Lacks: s.lacks,
	})
	return s
}

// pair declares gang a with a quorum of two members, and adds both.
func (s *simulation) pair(first, second string) (key gangs.Key, a, b *v1.Pod) {
	key, a, b = s.groups.declare("a", 2), member("a", first), member("a", second)
	s.tracker.Upsert(a, s.now)
	s.tracker.Upsert(b, s.now)
	return key, a, b
}

// refuse refuses a gang in the cycle of a member.
func (s *simulation) refuse(key gangs.Key, message string, to types.UID) {
	s.tracker.mu.Lock()
	defer s.tracker.mu.Unlock()
	if g := s.tracker.gangs[key]; g != nil {
		s.tracker.refuseInCycle(g, message, to, s.now, Effects{})
	}
}

func (s *simulation) key(pod *v1.Pod) gangs.Key {
	return gangs.CoschedulingKey("ml", pod.Labels[gangs.CoschedulingLabel])
}

// pick returns one of the matching pods, or nil if there is none.
func (s *simulation) pick(match func(*v1.Pod) bool) *v1.Pod {
	var found []*v1.Pod
	for _, uid := range slices.Sorted(maps.Keys(s.store)) {
		if match(s.store[uid]) {
			found = append(found, s.store[uid])
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[s.rnd.IntN(len(found))]
}

func (s *simulation) is(l location) func(*v1.Pod) bool {
	return func(pod *v1.Pod) bool { return s.at[pod.UID] == l }
}

// lacks is the oracle of claims.
func (s *simulation) lacks(pod *v1.Pod) string {
	if s.claimless[pod.UID] {
		return "needs ResourceClaim c, which does not exist"
	}
	return ""
}

// activate moves pods to the active queue if PreEnqueue admits them, as the queue does.
func (s *simulation) activate(pods []*v1.Pod) {
	for _, pod := range pods {
		pod, ok := s.store[pod.UID]
		if ok && s.at[pod.UID] == idle && !s.claimless[pod.UID] && !s.mute[pod.UID] && s.tracker.Admit(s.key(pod), pod) {
			s.at[pod.UID] = active
		}
	}
}

// apply applies the effects of a change of state. pass runs retries.
func (s *simulation) apply(effects Effects) {
	if attempt := effects.Release; attempt != nil {
		s.releasing = append(s.releasing, attempt)
		if _, ok := s.tracker.Open(attempt); ok {
			s.t.Fatal("an attempt that failed was opened")
		}
	}
	for _, uid := range effects.Allow {
		s.at[uid] = binding
	}
	s.activate(effects.Activate)
}

// update delivers a pod's event to the queue and to the tracker, in either order.
func (s *simulation) update(pod *v1.Pod) {
	s.store[pod.UID] = pod
	if s.rnd.IntN(2) == 0 {
		s.activate([]*v1.Pod{pod})
		s.apply(s.tracker.Upsert(pod, s.now))
		return
	}
	s.apply(s.tracker.Upsert(pod, s.now))
	s.activate([]*v1.Pod{pod})
}

func (s *simulation) create(gang string) {
	s.made++
	pod := member(gang, fmt.Sprintf("%s-%03d", gang, s.made))
	if s.rnd.IntN(4) == 0 {
		pod = gated(pod)
	}
	if s.tracker.options.HealAfter > 0 { // a pod without a controller is never evicted
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: gang, UID: types.UID(gang), Controller: new(true)}}
	}
	s.update(pod)
}

// change replaces a pod with a changed copy.
func (s *simulation) change(pod *v1.Pod, edit func(*v1.Pod)) {
	pod = pod.DeepCopy()
	edit(pod)
	pod.Generation++
	s.update(pod)
}

// remove deletes a pod. A pod that holds a node releases it later.
func (s *simulation) remove(pod *v1.Pod) {
	where := s.at[pod.UID]
	delete(s.lost, pod.UID)
	delete(s.store, pod.UID)
	delete(s.at, pod.UID)
	if where == ended {
		s.apply(s.tracker.Erase(pod, s.now))
	} else {
		s.apply(s.tracker.Remove(pod, s.now))
	}
	if where == waiting || where == binding {
		s.unreserve(pod)
	}
	if where == bound {
		s.room++
	}
}

// succeed ends a pod successfully. Two informers report it, in either order.
func (s *simulation) succeed(pod *v1.Pod) {
	pod = pod.DeepCopy()
	pod.Status.Phase = v1.PodSucceeded
	s.store[pod.UID] = pod
	s.at[pod.UID] = ended
	s.room++
	if s.rnd.IntN(2) == 0 {
		s.apply(s.tracker.Remove(pod, s.now))
		s.apply(s.tracker.Upsert(pod, s.now))
		return
	}
	s.apply(s.tracker.Upsert(pod, s.now))
	s.apply(s.tracker.Remove(pod, s.now))
}

func (s *simulation) unreserve(pod *v1.Pod) {
	s.room++
	if s.store[pod.UID] != nil {
		s.at[pod.UID] = idle
	}
	s.apply(s.tracker.Unreserve(s.key(pod), pod, "node", s.now))
}

// release performs one step of a release.
func (s *simulation) release() {
	if len(s.releasing) == 0 {
		return
	}
	attempt := s.releasing[0]
	holders, _ := s.tracker.Holders(attempt)
	slices.Sort(holders)
	for _, uid := range holders {
		if pod := s.store[uid]; pod != nil && s.at[uid] == waiting {
			s.unreserve(pod)
			return
		}
	}
	if holders, _ = s.tracker.Holders(attempt); len(holders) > 0 {
		if s.pick(s.is(binding)) == nil {
			s.t.Fatalf("%v hold nodes of a failed attempt, and neither wait nor bind", holders)
		}
		return
	}
	s.releasing = s.releasing[1:]
	s.apply(s.tracker.Released(attempt, s.now))
}
