// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/plugins/draaware"
)

// line is the connection to the fake API server. It refuses writes to an old version.
type line struct {
	*world
	plugin plugin

	mu sync.Mutex
	// deaf is set while the watch of claims is broken: hidden has what was written since.
	deaf   bool
	hidden map[string]*resourceapi.ResourceClaim
	// loses is "request" or "answer" while the writes of claim statuses lose theirs. mute is
	// set while reads fail. held are the writes whose requests are lost.
	loses string
	mute  bool
	held  []*resourceapi.ResourceClaim
	// refuses is the claim whose writes are forbidden.
	refuses string
}

var errReset = errors.New("connection reset by peer")

// newLine makes DRAAware with a connection that loses nothing yet.
func newLine(t *testing.T, objects ...*resourceapi.ResourceClaim) *line {
	var all []runtime.Object
	for _, c := range objects {
		c.ResourceVersion = "1"
		all = append(all, c)
	}
	l := &line{world: newWorld(t, oneNode, all...), hidden: map[string]*resourceapi.ResourceClaim{}}
	l.countVersions()
	client := l.handle.client.(*fake.Clientset)
	client.PrependReactor("update", "resourceclaims", l.update)
	client.PrependReactor("get", "resourceclaims", func(action clienttesting.Action) (bool, runtime.Object, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.mute {
			return true, nil, errReset
		}
		now, err := l.now(action.(clienttesting.GetAction).GetName())
		return true, now, err
	})
	l.plugin = l.ours()
	return l
}

func (l *line) update(action clienttesting.Action) (bool, runtime.Object, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent := action.(clienttesting.UpdateAction).GetObject().(*resourceapi.ResourceClaim).DeepCopy()
	if action.GetSubresource() == "status" && l.loses == "request" {
		l.held = append(l.held, sent)
		return true, nil, errReset
	}
	stored, err := l.store(sent)
	switch {
	case err != nil:
		return true, nil, err
	case action.GetSubresource() == "status" && l.loses == "answer":
		return true, nil, errReset
	}
	return true, stored, nil
}

var claimsResource = resourceapi.SchemeGroupVersion.WithResource("resourceclaims")

// now returns a copy of the claim in the API server.
func (l *line) now(name string) (*resourceapi.ResourceClaim, error) {
	if hidden := l.hidden[name]; hidden != nil {
		return hidden.DeepCopy(), nil
	}
	obj, err := l.handle.client.(*fake.Clientset).Tracker().Get(claimsResource, "ml", name)
	if err != nil {
		return nil, err
	}
	return obj.(*resourceapi.ResourceClaim).DeepCopy(), nil
}

// store carries out a write.
func (l *line) store(sent *resourceapi.ResourceClaim) (*resourceapi.ResourceClaim, error) {
	now, err := l.now(sent.Name)
	if err != nil {
		return nil, err
	}
	if sent.Name == l.refuses {
		return nil, apierrors.NewForbidden(claimsResource.GroupResource(), sent.Name, errors.New("quota"))
	}
	if now.ResourceVersion != sent.ResourceVersion {
		return nil, apierrors.NewConflict(claimsResource.GroupResource(), sent.Name, errors.New("it changed"))
	}
	sent.ResourceVersion += "0"
	if l.deaf {
		l.hidden[sent.Name] = sent.DeepCopy()
		return sent, nil
	}
	return sent, l.handle.client.(*fake.Clientset).Tracker().Update(claimsResource, sent.DeepCopy(), sent.Namespace)
}

func (l *line) set(loses string, mute bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loses, l.mute = loses, mute
}

// arrive has the API server carry out the lost requests.
func (l *line) arrive() (errs []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, sent := range l.held {
		_, err := l.store(sent)
		errs = append(errs, err)
	}
	l.held = nil
	return errs
}

// bind places the pod and runs PreBind, and Unreserve if it fails, as the scheduler does.
func (l *line) bind(pod *v1.Pod) *fwk.Status {
	l.Helper()
	made := l.trip(l.plugin, pod)
	feasible := made.look()
	if len(feasible) == 0 {
		return fwk.NewStatus(fwk.Unschedulable, strings.Join(sorted(made.said), "; "))
	}
	made.node = feasible[0]
	if said := made.reserve(); said != "" {
		return fwk.NewStatus(fwk.Unschedulable, said)
	}
	status := l.plugin.(fwk.PreBindPlugin).PreBind(context.Background(), made.state, pod, made.node)
	if !status.IsSuccess() {
		made.leave()
	}
	return status
}

func sorted(said map[string]string) (list []string) {
	for _, sentence := range said {
		list = append(list, sentence)
	}
	slices.Sort(list)
	return list
}

// eventually waits until the condition holds.
func (l *line) eventually(what string, holds func() bool) {
	l.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("%s: not within 30 s; in use %v", what, l.inUse())
		}
	}
}

// once checks that no device is in two of the claims.
func (l *line) once(names ...string) {
	l.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]string{}
	for _, name := range names {
		c, err := l.now(name)
		if err != nil || c.Status.Allocation == nil {
			continue
		}
		for _, result := range c.Status.Allocation.Devices.Results {
			if other := seen[result.Device]; other != "" {
				l.Errorf("device %s is in claims %s and %s", result.Device, other, c.Name)
			}
			seen[result.Device] = c.Name
		}
	}
}

// lostRequest has a pod fail because the request of its claim's write is lost, which can be
// in flight for the given time. The claim's eight devices stay reserved.
func (l *line) lostRequest(pod *v1.Pod, inFlight time.Duration) {
	l.Helper()
	draaware.SetPatience(l.plugin, 200*time.Millisecond, inFlight)
	l.set("request", false)
	if status := l.bind(pod); status.IsSuccess() {
		l.Fatal("PreBind succeeds without an answer")
	}
	if len(l.inUse()) != 8 {
		l.Error("the devices are given back at once")
	}
	l.set("", false)
}

func eight(name string) *resourceapi.ResourceClaim { return claim(name, "8 gpu.nvidia.com") }

// A pod whose claim was written and the answer lost is bound, without another attempt.
func TestLostAnswerIsAskedFor(t *testing.T) {
	first := eight("first")
	l := newLine(t, first)
	l.set("answer", false)
	if status := l.bind(podWith("first", first)); !status.IsSuccess() {
		t.Errorf("PreBind: %v", status)
	}
	if used := l.inUse(); len(used) != 8 {
		t.Errorf("in use: %v", used)
	}
}

// A pod whose request was lost is bound once requests arrive again.
func TestLostRequestIsRepeated(t *testing.T) {
	first := eight("first")
	l := newLine(t, first)
	l.set("request", false)
	time.AfterFunc(300*time.Millisecond, func() { l.set("", false) })
	if status := l.bind(podWith("first", first)); !status.IsSuccess() {
		t.Errorf("PreBind: %v", status)
	}
	for _, err := range l.arrive() {
		if !apierrors.IsConflict(err) {
			t.Errorf("a repeated request is carried out twice: %v", err)
		}
	}
}

// The API server is gone for longer than a binding asks. The devices of the claim stay
// reserved until a read shows the claim; then the claim itself holds them.
func TestDevicesOfALostAnswerStayReserved(t *testing.T) {
	first, rival := eight("first"), eight("rival")
	l := newLine(t, first, rival)
	draaware.SetPatience(l.plugin, 200*time.Millisecond, time.Hour)
	l.deaf = true
	l.set("answer", true)
	if status := l.bind(podWith("first", first)); status.IsSuccess() {
		t.Fatal("PreBind succeeds without an answer")
	}
	if status := l.bind(podWith("rival", rival)); status.IsSuccess() {
		t.Error("another claim got the devices")
	}
	l.set("", false)
	l.eventually("the claim is shown with its devices", func() bool {
		now, err := l.handle.manager.ResourceClaims().Get("ml", "first")
		return err == nil && now.Status.Allocation != nil && l.handle.manager.ResourceClaims().GetPendingAllocation(first.UID) == nil
	})
	l.eventually("the pod comes again and uses them", func() bool { return l.bind(podWith("first", first)).IsSuccess() })
	if status := l.bind(podWith("rival", rival)); status.IsSuccess() {
		t.Error("another claim got the devices")
	}
	l.once("first", "rival")
}

// The request is lost. A read that shows the claim unchanged is no proof while the request
// may still arrive, so the devices stay reserved: here it does arrive.
func TestLateRequest(t *testing.T) {
	first, rival := eight("first"), eight("rival")
	l := newLine(t, first, rival)
	l.lostRequest(podWith("first", first), time.Hour)
	time.Sleep(300 * time.Millisecond) // some reads of the unchanged claim
	status := l.bind(podWith("rival", rival))
	if status.IsSuccess() {
		t.Error("another claim got the devices")
	}
	if status := l.bind(podWith("first", first)); status.IsSuccess() || !strings.Contains(status.Message(), "was lost; its devices stay reserved until its state is known") {
		t.Errorf("the pod itself is told %v", status)
	}
	l.arrive()
	l.eventually("the pod comes again", func() bool { return l.bind(podWith("first", first)).IsSuccess() })
	l.once("first", "rival")
}

// The request is lost and cannot arrive any more: the devices are free again.
func TestRequestThatNeverArrives(t *testing.T) {
	first, rival := eight("first"), eight("rival")
	l := newLine(t, first, rival)
	l.lostRequest(podWith("first", first), time.Second)
	l.eventually("another claim gets the devices", func() bool { return l.bind(podWith("rival", rival)).IsSuccess() })
	l.once("first", "rival")
}

// A claim is deleted while its state is unknown.
func TestLostClaimIsDeleted(t *testing.T) {
	first, rival := eight("first"), eight("rival")
	l := newLine(t, first, rival)
	l.lostRequest(podWith("first", first), time.Hour)
	if err := l.handle.client.(*fake.Clientset).Tracker().Delete(claimsResource, "ml", "first"); err != nil {
		t.Fatal(err)
	}
	l.eventually("another claim gets the devices", func() bool { return l.bind(podWith("rival", rival)).IsSuccess() })
}

// A write that is refused gives the devices back at once. Those of another claim of the pod,
// which was written before, stay in use although the informer does not show it yet.
func TestRefusedWriteGivesBack(t *testing.T) {
	first, second := claim("first", "4 gpu.nvidia.com"), claim("second", "4 gpu.nvidia.com")
	l := newLine(t, first, second)
	l.refuses, l.deaf = "second", true
	if status := l.bind(podWith("pod", first, second)); status.IsSuccess() {
		t.Fatal("PreBind succeeds though a write is refused")
	}
	if used := l.inUse(); len(used) != 4 {
		t.Errorf("in use: %v", used)
	}
}

// All pods that were refused because of a lost write are activated when the claim's state is
// known.
func TestPodsOfALostWriteAreActivated(t *testing.T) {
	first := eight("first")
	l := newLine(t, first)
	l.lostRequest(podWith("first", first), time.Hour)
	if status := l.bind(podWith("second", first)); status.IsSuccess() {
		t.Fatal("a pod is bound with a claim whose state is unknown")
	}
	if activated := l.handle.activated(); len(activated) > 0 {
		t.Errorf("%v are activated before the claim's state is known", activated)
	}
	l.arrive()
	l.eventually("both pods are activated", func() bool { return slices.Equal(l.handle.activated(), []string{"ml/first", "ml/second"}) })
}
