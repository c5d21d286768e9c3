// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// evict marks a pod with its preemptor and calls the Eviction API, like Dovetail. The pod then ends,
// as if its node's kubelet had stopped it.
func (h *manualScheduler) evict(by string, pod *v1.Pod) {
	h.Helper()
	pods := h.core.CoreV1().Pods(h.namespace)
	is, err := pods.Get(h.Context(), pod.Name, metav1.GetOptions{})
	h.must(err)
	withPreemptor("evicted for " + by)(is)
	_, err = pods.UpdateStatus(h.Context(), is, metav1.UpdateOptions{})
	h.must(err)
	h.must(pods.EvictV1(h.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: h.namespace}}))
	is, err = pods.Get(h.Context(), pod.Name, metav1.GetOptions{})
	h.must(err)
	if _, _, marked := preemptorOf(is); marked || is.DeletionTimestamp == nil {
		h.Errorf("the Eviction API left the condition of %s as it was: %v", pod.Name, is.Status.Conditions)
	}
	now := int64(0)
	h.must(pods.Delete(h.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
}

// priority creates the test's PriorityClass and returns a function that gives it to pods.
func (h *manualScheduler) priority(value int32) func(*v1.Pod) {
	_, err := h.core.SchedulingV1().PriorityClasses().Create(h.Context(), &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: h.namespace}, Value: value,
	}, metav1.CreateOptions{})
	h.must(err)
	return func(p *v1.Pod) { p.Spec.PriorityClassName = h.namespace }
}

func TestRealEvictionInVain(t *testing.T) {
	h := newManualScheduler(t)
	high := h.priority(10)
	node := h.node("n1")
	h.coscheduling("low", 2)
	low := []*v1.Pod{h.pod("a", inCoscheduling("low")), h.pod("b", inCoscheduling("low"))}
	h.bind(node, low...)
	h.coscheduling("high", 1)
	waits := h.pod("h", inCoscheduling("high"), high)
	by := "gang " + h.namespace + "/high of priority 10, which needs it"
	h.evict(by, low[0])
	h.expect("I9", "gang PodGroup "+h.namespace+"/low: 1 of 2 members were evicted for gang "+h.namespace+"/high, which left it below its minimum")
	h.expect("I8", "1 pods were evicted for gang "+h.namespace+"/high, which was not placed")
	h.bind(node, waits)
	h.must(h.checker.Flush(h.Context()))
}

func TestRealEvictionOfAGang(t *testing.T) {
	h := newManualScheduler(t)
	high := h.priority(10)
	node := h.node("n1")
	low := []*v1.Pod{h.pod("a", inGangOf("low", "2")), h.pod("b", inGangOf("low", "2"))}
	h.bind(node, low...)
	waits := h.pod("h", inGangOf("high", "1"), high)
	for _, pod := range low {
		h.evict("gang "+h.namespace+"/high of priority 10, which needs it", pod)
	}
	h.bind(node, waits)
	h.must(h.checker.Flush(h.Context()))
	time.Sleep(2 * shortOptions.Grace) // A violation would appear after Grace.
	if found := h.violationText(); found != "" {
		t.Errorf("want no violation, got:\n%s", found)
	}
	if got := h.checker.Evictions(); got != (Evictions{Pods: 2, Clearings: 1, Placed: 1}) {
		t.Errorf("evictions %+v", got)
	}
}
