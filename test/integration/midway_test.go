// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// interrupter is a Reserve plugin. It calls do once, when a given number of members have
// reserved and before the next member reserves.
type interrupter struct {
	handle fwk.Handle
	after  int
	do     func(handle fwk.Handle, node string)

	mu    sync.Mutex
	first string
	seen  int
}

func (p *interrupter) Name() string { return "Interrupter" }

func (p *interrupter) use(handle fwk.Handle) { p.handle = handle }

func (p *interrupter) Reserve(_ context.Context, _ fwk.CycleState, _ *corev1.Pod, node string) *fwk.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen++; p.seen == 1 {
		p.first = node
	}
	if p.seen == p.after {
		p.do(p.handle, p.first)
	}
	return nil
}

func (p *interrupter) Unreserve(context.Context, fwk.CycleState, *corev1.Pod, string) {}

// A node that a member has reserved is deleted before the last member is scheduled. No pod
// may be bound to that node, and the gang must run completely on the remaining nodes.
func TestNodeGoesBetweenPlanAndBinding(t *testing.T) {
	const size = 6
	e := alone(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, "shape=plain,spines=1,leaves=1,nodes=8")},
		Without: withoutSchedulers,
	})
	gone := make(chan string, 1)
	e.runScheduler(t, &interrupter{after: size - 1, do: func(handle fwk.Handle, node string) {
		if err := e.Client.CoreV1().Nodes().Delete(context.Background(), node, metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting node %s: %v", node, err)
		}
		e.Eventually("the scheduler hears that the node is gone", func() bool {
			_, err := handle.SharedInformerFactory().Core().V1().Nodes().Lister().Get(node)
			return apierrors.IsNotFound(err)
		})
		gone <- node
	}})
	e.podGroup("six", size, nil)
	e.createPods(members("six", size, asking("20", "1Gi"))...)
	e.Whole(groupLabel+"=six", size)
	lost := <-gone
	for _, pod := range e.Pods(groupLabel + "=six") {
		if pod.Spec.NodeName == lost {
			t.Errorf("pod %s is bound to node %s, which was gone", pod.Name, lost)
		}
	}
}

// A gang is deleted when half of its members have reserved their nodes. No member may be
// bound. The reservations must be released, so a gang that needs every node can run.
func TestGangDeletedBetweenPlanAndBinding(t *testing.T) {
	const size = 6
	e := alone(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, "shape=plain,spines=1,leaves=1,nodes=6")},
		Without: withoutSchedulers,
	})
	deleted := make(chan struct{})
	e.runScheduler(t, &interrupter{after: size / 2, do: func(handle fwk.Handle, _ string) {
		e.RemovePods(groupLabel + "=six")
		e.remove(podGroups, "six")
		e.Eventually("the scheduler hears that the gang is gone", func() bool {
			pods, err := handle.SharedInformerFactory().Core().V1().Pods().Lister().Pods(e.Namespace).List(labels.Everything())
			return err == nil && len(pods) == 0
		})
		close(deleted)
	}})
	e.podGroup("six", size, nil)
	e.createPods(members("six", size, asking("20", "1Gi"))...)
	<-deleted
	e.podGroup("next", size, nil)
	e.createPods(members("next", size, asking("20", "1Gi"))...)
	e.Whole(groupLabel+"=next", size)
	if pods := e.Pods(groupLabel + "=six"); len(pods) > 0 {
		t.Errorf("%d pods of the gang that was deleted are there", len(pods))
	}
}
