// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

// firstBackoff is at least the first backoff of a refused gang.
const firstBackoff = 100 * time.Millisecond

func claim(name string, allocated bool) *resourceapi.ResourceClaim {
	c := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name}}
	if allocated {
		c.Status.Allocation = &resourceapi.AllocationResult{}
	}
	return c
}

// Events that may free room queue a member of a refused gang.
func TestHints(t *testing.T) {
	pod := member("a", "p", 1)
	pod.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimName: new(string)}}
	*pod.Spec.ResourceClaims[0].ResourceClaimName = "mine"
	near := pod.DeepCopy()
	near.Spec.Affinity = &v1.Affinity{PodAffinity: &v1.PodAffinity{}}
	labelled := pod.DeepCopy()
	labelled.Labels["x"] = "y"
	written := pod.DeepCopy()
	written.Status.Conditions = []v1.PodCondition{{Type: v1.PodScheduled, Message: "no room"}}
	ending := pod.DeepCopy()
	ending.DeletionTimestamp = &metav1.Time{Time: epoch}
	runs := placedOn(member("b", "r", 1), "n")
	kin := placedOn(member("a", "q", 1), "n")
	assumed, assumedOfOther := placedOn(member("a", "assumed", 1), "n"), placedOn(member("b", "other", 1), "n")
	relabelled := kin.DeepCopy()
	relabelled.Labels["x"] = "y"
	guarded := elsewhereWith(v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{}}}})
	spread := pod.DeepCopy()
	spread.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{WhenUnsatisfiable: v1.DoNotSchedule}}
	elsewhere := placedOn(member("b", "r", 1), "tainted")
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
		"a pod of its own gang is gone":      {pod, event(fwk.AssignedPod, fwk.Delete), kin, nil, fwk.Queue},
		"one of its own is forgotten":        {pod, event(fwk.AssignedPod, fwk.Delete), assumed, nil, fwk.QueueSkip},
		"one of another gang is forgotten":   {pod, event(fwk.AssignedPod, fwk.Delete), assumedOfOther, nil, fwk.Queue},
		"it is itself forgotten":             {pod, event(fwk.AssignedPod, fwk.Delete), placedOn(pod, "n"), nil, fwk.QueueSkip},
		"one of its own is labelled":         {near, event(fwk.AssignedPod, fwk.UpdatePodLabel), kin, relabelled, fwk.Queue},
		"one of its own gives up requests":   {pod, event(fwk.AssignedPod, fwk.UpdatePodScaleDown), kin, kin, fwk.Queue},
		"a pod goes that repelled others":    {pod, event(fwk.AssignedPod, fwk.Delete), guarded, nil, fwk.Queue},
		"a pod goes from a domain it counts": {spread, event(fwk.AssignedPod, fwk.Delete), elsewhere, nil, fwk.Queue},
		"a node goes":                        {pod, event(fwk.Node, fwk.Delete), &v1.Node{}, nil, fwk.QueueSkip},
		"a node goes, and it must spread":    {spread, event(fwk.Node, fwk.Delete), &v1.Node{}, nil, fwk.Queue},
		"a node declares a feature":          {pod, event(fwk.Node, fwk.UpdateNodeDeclaredFeature), &v1.Node{}, &v1.Node{}, fwk.Queue},
		"a pod comes to run":                 {pod, event(fwk.AssignedPod, fwk.Add), nil, runs, fwk.QueueSkip},
		"a pod comes that it may want near":  {near, event(fwk.AssignedPod, fwk.Add), nil, runs, fwk.Queue},
		"one of its own comes, wanted near":  {near, event(fwk.AssignedPod, fwk.Add), nil, kin, fwk.QueueSkip},
		"its condition is written":           {pod, event(fwk.TargetPod, fwk.Update), pod, written, fwk.QueueSkip},
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
			g := pluginWith(t, []*v1.Node{tainted}, tc.pod, member("a", "assumed", 1), member("b", "other", 1))
			if tc.pod != ending {
				g.answer(t, gangs.LabelKey("ml", "a"), &gangstate.Answer{Refusal: "no room"}, epoch)
			}
			got := g.hint(t, tc.event)(tc.pod, tc.old, tc.new)
			if got != tc.want {
				t.Errorf("hint %v, want %v", got, tc.want)
			}
		})
	}
}

// elsewhereWith returns a pod of another gang with that affinity, on a node with a taint.
func elsewhereWith(affinity v1.Affinity) *v1.Pod {
	pod := placedOn(member("b", "r", 1), "tainted")
	pod.Spec.Affinity = &affinity
	return pod
}

func event(resource fwk.EventResource, action fwk.ActionType) fwk.ClusterEvent {
	return fwk.ClusterEvent{Resource: resource, ActionType: action}
}

// hint returns a function that evaluates every hint registered for the event.
func (g *Gang) hint(t *testing.T, event fwk.ClusterEvent) func(pod *v1.Pod, old, new any) fwk.QueueingHint {
	t.Helper()
	registered, err := g.EventsToRegister(t.Context())
	if err != nil {
		t.Fatalf("EventsToRegister: %v", err)
	}
	return func(pod *v1.Pod, old, new any) fwk.QueueingHint {
		for _, known := range registered {
			if !framework.MatchClusterEvents(known.Event, event) {
				continue
			}
			if hint, err := known.QueueingHintFn(klog.Background(), pod, old, new); err != nil || hint == fwk.Queue {
				return fwk.Queue
			}
		}
		return fwk.QueueSkip
	}
}

// The queue evaluates hints for waiting members, not for queued ones. If an event may help
// a queued member, the gang must be planned again.
func TestEventsForMembersInTheQueue(t *testing.T) {
	p, q := member("a", "p", 2), member("a", "q", 2)
	p.Spec.NodeSelector = map[string]string{"shape": "large"}
	named := "named"
	q.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimName: &named}}
	q.Spec.Affinity = &v1.Affinity{PodAffinity: &v1.PodAffinity{}}
	q.Spec.Volumes = []v1.Volume{{VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	volumeClaim := func(name string) *v1.PersistentVolumeClaim {
		return &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name}}
	}
	runs := placedOn(member("b", "r", 1), "n")
	of := func(pod *v1.Pod) *resourceapi.ResourceClaim {
		c := claim(pod.Name+"-devices", false)
		c.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(pod, v1.SchemeGroupVersion.WithKind("Pod"))}
		return c
	}
	tests := map[string]struct {
		event    fwk.ClusterEvent
		old, new any
		// after is the time between the refusal and the event.
		after   time.Duration
		retries int
	}{
		"the other's claim comes":              {event(fwk.ResourceClaim, fwk.Add), nil, of(q), 0, 1},
		"a claim comes that the other names":   {event(fwk.ResourceClaim, fwk.Add), nil, claim("named", false), 0, 1},
		"a claim comes that no member names":   {event(fwk.ResourceClaim, fwk.Add), nil, claim("strange", false), 0, 0},
		"the other's volume claim comes":       {event(fwk.PersistentVolumeClaim, fwk.Add), nil, volumeClaim("data"), 0, 1},
		"the volume claim of a stranger comes": {event(fwk.PersistentVolumeClaim, fwk.Add), nil, volumeClaim("strange"), 0, 0},
		"a pod comes that the other wants":     {event(fwk.AssignedPod, fwk.Add), nil, runs, 0, 1},
		"the claim of a stranger comes":        {event(fwk.ResourceClaim, fwk.Add), nil, of(member("b", "r", 1)), 0, 0},
		"a claim takes devices":                {event(fwk.ResourceClaim, fwk.Update), claim("strange", false), claim("strange", true), 0, 0},
		"a node comes for the other alone":     {event(fwk.Node, fwk.Add), nil, &v1.Node{}, 0, 1},
		"it comes when nobody is in the queue": {event(fwk.Node, fwk.Add), nil, &v1.Node{}, time.Minute, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			key := gangs.LabelKey("ml", "a")
			g := pluginWith(t, nil, p, q)
			refused := time.Now().Add(-tc.after)
			g.answer(t, key, &gangstate.Answer{Refusal: "no room"}, refused)
			if got := g.hint(t, tc.event)(p, tc.old, tc.new); got != fwk.QueueSkip {
				t.Errorf("hint %v for the member that waits, want %v", got, fwk.QueueSkip)
			}
			if pods := g.tracker.Retry(key, refused.Add(firstBackoff)).Activate; len(pods) != tc.retries {
				t.Errorf("%d members retry when the gang has backed off, want %d", len(pods), tc.retries)
			}
		})
	}
}
