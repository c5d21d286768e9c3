// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"sync"
	"testing"

	"golang.org/x/sync/semaphore"
	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// slowBinder blocks in Bind until the test frees a binding. It counts concurrent bindings.
type slowBinder struct {
	fwk.BindPlugin
	mu         sync.Mutex
	now, most  int
	full, free chan struct{}
}

func (b *slowBinder) Bind(context.Context, fwk.CycleState, *v1.Pod, string) *fwk.Status {
	b.mu.Lock()
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	b.full <- struct{}{}
	<-b.free
	b.mu.Lock()
	b.now--
	b.mu.Unlock()
	return nil
}

// Members that leave Permit together are all bound, a few at a time. A member whose context
// ends while it waits is not bound.
func TestFewMembersAreBoundAtOnce(t *testing.T) {
	const members, places = 9, 3
	group := "train"
	member := &v1.Pod{Spec: v1.PodSpec{SchedulingGroup: &v1.PodSchedulingGroup{PodGroupName: &group}}}
	binder := &slowBinder{full: make(chan struct{}, members), free: make(chan struct{}, members)}
	g := &Gang{binder: binder, bindings: semaphore.NewWeighted(places)}

	var all sync.WaitGroup
	bind := func(ctx context.Context) *fwk.Status { return g.Bind(ctx, framework.NewCycleState(), member, "node-1") }
	for range members {
		all.Go(func() {
			if status := bind(t.Context()); !status.IsSuccess() {
				t.Errorf("a member is not bound: %v", status)
			}
		})
	}
	for range places {
		<-binder.full
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if status := bind(ended); status.Code() != fwk.Error {
		t.Errorf("a member that was given up has status %v", status)
	}
	for range members {
		binder.free <- struct{}{}
	}
	all.Wait()
	if binder.most != places {
		t.Errorf("%d members were bound at once, want %d", binder.most, places)
	}
	if status := g.Bind(t.Context(), framework.NewCycleState(), &v1.Pod{}, "node-1"); !status.IsSkip() {
		t.Errorf("a pod without a gang has status %v, want it left to the next plugin", status)
	}
}
