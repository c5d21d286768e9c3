// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/queue"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/metrics"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

// activator is the handle of a plugin that only activates pods.
type activator struct {
	fwk.Handle
	queue *queue.PriorityQueue
}

func (a activator) Activate(logger klog.Logger, pods map[string]*v1.Pod) {
	a.queue.Activate(logger, pods)
}

// inFlight is the scheduler's queue with two members of a refused gang: one is in the cycle
// that plans the gang, and one waits.
type inFlight struct {
	*Gang
	queue      *queue.PriorityQueue
	key        gangs.Key
	asks, rest *v1.Pod
	info       *framework.QueuedPodInfo
	question   *gangstate.Question
}

func newInFlight(t *testing.T) *inFlight {
	asks, rest := member("a", "asks", 2), member("a", "rest", 2)
	named := "named"
	rest.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimName: &named}}
	rest.Spec.Affinity = &v1.Affinity{PodAffinity: &v1.PodAffinity{}}
	s := &inFlight{Gang: pluginWith(t, nil, asks, rest), key: gangs.LabelKey("ml", "a"), asks: asks, rest: rest}
	s.answer(t, s.key, &gangstate.Answer{Refusal: "no room"}, time.Now().Add(-10*time.Second))
	s.queue = s.newQueue(t)
	s.handle = activator{queue: s.queue}
	for range 2 {
		s.putBack(t, s.pop(t))
	}
	// An event has woken the member; its cycle begins.
	if retries, _ := s.tracker.AllowRetry(s.key, asks, time.Now()); !retries {
		t.Fatal("the gang is not planned again")
	}
	s.activate([]*v1.Pod{asks})
	s.info = s.pop(t)
	step := s.tracker.NextStep(s.key, asks.UID, asks.Name, time.Now())
	if s.question = step.Plan; s.question == nil {
		t.Fatalf("the cycle plans nothing: %s", step.Refusal)
	}
	return s
}

// newQueue returns the scheduler's queue with the hints of this plugin, and both members.
func (s *inFlight) newQueue(t *testing.T) *queue.PriorityQueue {
	t.Helper()
	metrics.Register()
	registered, err := s.EventsToRegister(t.Context())
	if err != nil {
		t.Fatalf("EventsToRegister: %v", err)
	}
	hints := queue.QueueingHintMap{}
	for _, known := range registered {
		hints[known.Event] = append(hints[known.Event], &queue.QueueingHintFunction{PluginName: Name, QueueingHintFn: known.QueueingHintFn})
	}
	q := queue.NewTestQueue(t.Context(), s.Less,
		queue.WithQueueingHintMapPerProfile(queue.QueueingHintMapPerProfile{profile: hints}),
		queue.WithPodInitialBackoffDuration(time.Millisecond), queue.WithPodMaxBackoffDuration(time.Millisecond))
	t.Cleanup(q.Close)
	q.Run(klog.Background())
	q.Add(context.Background(), s.asks)
	q.Add(context.Background(), s.rest)
	return q
}

// pop returns the member whose cycle begins; nil if none comes.
func (s *inFlight) pop(t *testing.T) *framework.QueuedPodInfo {
	t.Helper()
	popped := make(chan *framework.QueuedPodInfo, 1)
	go func() {
		entity, err := s.queue.Pop(klog.Background())
		if info, ok := entity.(*framework.QueuedPodInfo); ok && err == nil {
			popped <- info
		}
	}()
	select {
	case info := <-popped:
		return info
	case <-time.After(2 * time.Second):
		return nil
	}
}

// putBack ends a cycle in which this plugin refused the member.
func (s *inFlight) putBack(t *testing.T, info *framework.QueuedPodInfo) {
	t.Helper()
	info.UnschedulablePlugins.Insert(Name)
	if err := s.queue.AddUnschedulablePodIfNotPresent(klog.Background(), info, s.queue.SchedulingCycle()); err != nil {
		t.Fatalf("putting back %s: %v", info.Pod.Name, err)
	}
}

// refuse ends the cycle that planned the gang.
func (s *inFlight) refuse() {
	step := s.tracker.Resolve(s.question, &gangstate.Answer{Refusal: "no room", Searched: true}, s.asks.UID, time.Now())
	step.Effects.Report = false // nothing here writes reports
	s.apply(step.Effects)
}

// An event that comes while a cycle plans the gang is not in what that cycle reads. The gang
// is planned again, whichever member the event helps. An event that helps no member has no
// such effect.
func TestEventsWhileTheGangIsPlanned(t *testing.T) {
	move := func(resource fwk.EventResource, action fwk.ActionType, old, new any) func(*testing.T, *inFlight) {
		return func(_ *testing.T, s *inFlight) {
			s.queue.MoveAllToActiveOrBackoffQueue(klog.Background(), event(resource, action), old, new, nil)
		}
	}
	unplaced := func(name string) *resourceapi.ResourceClaim { return claim(name, false) }
	tests := map[string]struct {
		happens func(*testing.T, *inFlight)
		want    bool
	}{
		"nothing":                              {func(*testing.T, *inFlight) {}, false},
		"a node comes":                         {move(fwk.Node, fwk.Add, nil, &v1.Node{}), true},
		"a node goes, and no member spreads":   {move(fwk.Node, fwk.Delete, &v1.Node{}, nil), false},
		"a pod goes":                           {move(fwk.AssignedPod, fwk.Delete, placedOn(member("b", "r", 1), "n"), nil), true},
		"a pod comes that the other wants":     {move(fwk.AssignedPod, fwk.Add, nil, placedOn(member("b", "r", 1), "n")), true},
		"the claim of the other comes":         {move(fwk.ResourceClaim, fwk.Add, nil, unplaced("named")), true},
		"the claim of the other changes":       {move(fwk.ResourceClaim, fwk.Update, unplaced("named"), unplaced("named")), true},
		"a claim comes that no member names":   {move(fwk.ResourceClaim, fwk.Add, nil, unplaced("strange")), false},
		"the other changes":                    {func(_ *testing.T, s *inFlight) { s.update(s.rest, func(pod *v1.Pod) { pod.Labels["x"] = "y" }) }, true},
		"the member itself changes":            {func(_ *testing.T, s *inFlight) { s.update(s.asks, func(pod *v1.Pod) { pod.Labels["x"] = "y" }) }, true},
		"the labels of their namespace change": {func(_ *testing.T, s *inFlight) { s.namespaceChanged(labelled(""), labelled("x")) }, true},
		"the member is deleted": {func(_ *testing.T, s *inFlight) {
			s.tracker.Upsert(member("a", "second", 2), time.Now())
			s.delete(s.asks)
		}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newInFlight(t)
			tc.happens(t, s)
			s.refuse()
			if s.remains(s.asks) {
				s.putBack(t, s.info)
			} else {
				s.queue.Done(s.asks.UID)
			}
			if planned := s.planAgain(t); planned != tc.want {
				t.Errorf("the gang is planned again: %v, want %v", planned, tc.want)
			}
		})
	}
}

// planAgain reports that a member gets a cycle, and plans the gang in it.
func (s *inFlight) planAgain(t *testing.T) bool {
	for {
		info := s.pop(t)
		if info == nil {
			return false
		}
		if s.tracker.NextStep(s.key, info.Pod.UID, info.Pod.Name, time.Now()).Plan != nil {
			return true
		}
		s.putBack(t, info)
	}
}

// update delivers an update of a member that has no node.
func (s *inFlight) update(pod *v1.Pod, edit func(*v1.Pod)) {
	after := pod.DeepCopy()
	edit(after)
	s.queue.Update(context.Background(), pod, after)
	s.apply(s.tracker.Upsert(after, time.Now()))
}

// delete delivers the deletion of a member that has no node.
func (s *inFlight) delete(pod *v1.Pod) {
	s.pods = corelisters.NewPodLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}))
	s.queue.Delete(klog.Background(), pod)
	s.apply(s.tracker.Remove(pod, time.Now()))
}

func labelled(label string) *v1.Namespace {
	return &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ml", Labels: map[string]string{"l": label}}}
}

// The queue evaluates hints for the deletion of a node before the scheduler's cache drops it,
// and those of volumes and devices beside the handlers of their caches. A member that is
// woken by such an event may read the state before it, so the gang is planned once more.
func TestEventsThatPlansSeeLater(t *testing.T) {
	slice := &resourceapi.ResourceSlice{}
	volumeClaim := &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "data"}}
	tests := map[string]struct {
		event    fwk.ClusterEvent
		old, new any
		want     int
	}{
		"a node comes":        {event(fwk.Node, fwk.Add), nil, &v1.Node{}, 0},
		"a node goes":         {event(fwk.Node, fwk.Delete), &v1.Node{}, nil, 1},
		"devices come":        {event(fwk.ResourceSlice, fwk.Add), nil, slice, 1},
		"a claim gives back":  {event(fwk.ResourceClaim, fwk.Update), claim("c", true), claim("c", false), 1},
		"a volume comes":      {event(fwk.PersistentVolume, fwk.Add), nil, &v1.PersistentVolume{}, 1},
		"a volume claim does": {event(fwk.PersistentVolumeClaim, fwk.Add), nil, volumeClaim, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := member("a", "p", 1)
			p.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{WhenUnsatisfiable: v1.DoNotSchedule}}
			p.Spec.Volumes = []v1.Volume{{VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
			key, g := gangs.LabelKey("ml", "a"), pluginWith(t, nil, p)
			g.answer(t, key, &gangstate.Answer{Refusal: "no room"}, epoch)
			if got := g.hint(t, tc.event)(p, tc.old, tc.new); got != fwk.Queue {
				t.Fatalf("hint %v, want %v", got, fwk.Queue)
			}
			for range 2 { // the second plan reads what it may
				g.answer(t, key, &gangstate.Answer{Refusal: "no room"}, time.Now())
				later := time.Now().Add(time.Second)
				if pods := g.tracker.Retry(key, later).Activate; len(pods) != tc.want {
					t.Errorf("%d members retry without another event, want %d", len(pods), tc.want)
				}
				tc.want = 0
				time.Sleep(firstBackoff)
			}
		})
	}
}
