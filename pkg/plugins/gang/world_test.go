// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

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

// podGroups are the declarations that exist, by name; all are in namespace ml.
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

func (g podGroups) declare(name string, least int32) gangs.Key {
	g[name] = &schedv1alpha1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name)},
		Spec:       schedv1alpha1.PodGroupSpec{MinMember: least},
	}
	return gangs.CoschedulingKey("ml", name)
}

// member returns a pod of a gang that could be placed now.
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

func on1(pod *v1.Pod, node string) *v1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.NodeName = node
	return pod
}

// place is where the queue and the scheduler have a pod.
type place int

const (
	idle    place = iota // gated or unschedulable: somebody has to wake it
	active               // its cycle comes
	waiting              // past Permit with Wait
	binding              // allowed
	bound
	ended
)

// world is a scheduler around one book, as far as the book can tell: it keeps
// pods in a queue, gives them cycles, and reports what happens to them.
type world struct {
	t      *testing.T
	rnd    *rand.Rand
	groups podGroups
	book   *book
	store  map[types.UID]*v1.Pod
	at     map[types.UID]place
	drains []*attempt
	// room is how many more members the cluster takes, all on one node.
	room int
	made int
	now  time.Time
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rnd: rand.New(rand.NewPCG(seed, 0)), groups: podGroups{},
		store: map[types.UID]*v1.Pod{}, at: map[types.UID]place{}, now: epoch,
	}
	w.book = newBook(profile, gangs.Sources{gangs.NewCoschedulingSource(w.groups, w.groups, nil)}, func(pod *v1.Pod) bool { return w.store[pod.UID] != nil })
	return w
}

// pair declares gang a, which needs two members, and has the book know both.
func (w *world) pair(first, second string) (key gangs.Key, a, b *v1.Pod) {
	key, a, b = w.groups.declare("a", 2), member("a", first), member("a", second)
	w.book.upsert(a)
	w.book.upsert(b)
	return key, a, b
}

func (w *world) key(pod *v1.Pod) gangs.Key {
	return gangs.CoschedulingKey("ml", pod.Labels[gangs.CoschedulingLabel])
}

// pick returns one of the pods at that place, nil if there is none.
func (w *world) pick(where func(*v1.Pod) bool) *v1.Pod {
	var found []*v1.Pod
	for _, uid := range slices.Sorted(maps.Keys(w.store)) {
		if where(w.store[uid]) {
			found = append(found, w.store[uid])
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[w.rnd.IntN(len(found))]
}

func (w *world) is(p place) func(*v1.Pod) bool {
	return func(pod *v1.Pod) bool { return w.at[pod.UID] == p }
}

// activate does what the queue does: PreEnqueue decides.
func (w *world) activate(pods []*v1.Pod) {
	for _, pod := range pods {
		pod, ok := w.store[pod.UID]
		if ok && w.at[pod.UID] == idle && w.book.gate(w.key(pod), pod) {
			w.at[pod.UID] = active
		}
	}
}

func (w *world) heed(n news) {
	if n.ended != nil {
		w.giveUp(n.ended)
	}
	w.activate(n.wake)
}

func (w *world) giveUp(att *attempt) {
	if w.book.fail(att, "a test has it so") {
		w.drains = append(w.drains, att)
	}
	if _, _, ok := w.book.openGate(att); ok {
		w.t.Fatal("the gate opened for an attempt that failed")
	}
}

// seen delivers a pod's event to the queue and to the book, in either order.
func (w *world) seen(pod *v1.Pod) {
	w.store[pod.UID] = pod
	if w.rnd.IntN(2) == 0 {
		w.activate([]*v1.Pod{pod})
		w.heed(w.book.upsert(pod))
		return
	}
	w.heed(w.book.upsert(pod))
	w.activate([]*v1.Pod{pod})
}

func (w *world) create(gang string) {
	w.made++
	pod := member(gang, fmt.Sprintf("%s-%03d", gang, w.made))
	if w.rnd.IntN(4) == 0 {
		pod = gated(pod)
	}
	w.seen(pod)
}

// change replaces a pod by a changed copy.
func (w *world) change(pod *v1.Pod, how func(*v1.Pod)) {
	pod = pod.DeepCopy()
	how(pod)
	pod.Generation++
	w.seen(pod)
}

// remove deletes a pod. One that holds a node gives it back, sooner or later.
func (w *world) remove(pod *v1.Pod) {
	where := w.at[pod.UID]
	delete(w.store, pod.UID)
	delete(w.at, pod.UID)
	if where == ended {
		w.heed(w.book.erase(pod))
	} else {
		w.heed(w.book.remove(pod))
	}
	if where == waiting || where == binding {
		w.unreserve(pod)
	}
	if where == bound {
		w.room++
	}
}

// succeed ends a pod well. Two informers tell of it, in either order.
func (w *world) succeed(pod *v1.Pod) {
	pod = pod.DeepCopy()
	pod.Status.Phase = v1.PodSucceeded
	w.store[pod.UID] = pod
	w.at[pod.UID] = ended
	w.room++
	if w.rnd.IntN(2) == 0 {
		w.heed(w.book.remove(pod))
		w.heed(w.book.upsert(pod))
		return
	}
	w.heed(w.book.upsert(pod))
	w.heed(w.book.remove(pod))
}

func (w *world) unreserve(pod *v1.Pod) {
	w.room++
	if w.store[pod.UID] != nil {
		w.at[pod.UID] = idle
	}
	ended, again := w.book.unreserve(w.key(pod), pod.UID)
	if ended != nil {
		w.giveUp(ended)
	}
	if again {
		w.activate([]*v1.Pod{pod})
	}
}

// drain takes one step of giving back.
func (w *world) drain() {
	if len(w.drains) == 0 {
		return
	}
	att := w.drains[0]
	for _, uid := range w.book.holders(att) {
		if pod := w.store[uid]; pod != nil && w.at[uid] == waiting {
			w.unreserve(pod)
			return
		}
	}
	if left := w.book.holders(att); len(left) > 0 {
		if w.pick(w.is(binding)) == nil {
			w.t.Fatalf("%v hold places of a failed attempt, and neither wait nor bind", left)
		}
		return
	}
	w.drains = w.drains[1:]
	w.activate(w.book.clear(att, 2, w.now))
}
