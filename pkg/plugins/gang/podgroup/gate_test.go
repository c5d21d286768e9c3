// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// gateFixture is a gated group with counters of the checks and activations.
type gateFixture struct {
	gatedGroups
	full, gone         atomic.Bool
	checked, activated atomic.Int32
	// last is the pod of the last check; found is the pod that anyWaiting returns.
	last, found atomic.Pointer[v1.Pod]
}

func newGateFixture(delays ...time.Duration) *gateFixture {
	d := &gateFixture{}
	d.gatedGroups = gatedGroups{
		admit: func(pod *v1.Pod) bool { d.last.Store(pod); d.checked.Add(1); return d.full.Load() },
		anyWaiting: func(fwk.EntityKey) *v1.Pod {
			if d.gone.Load() {
				return nil
			}
			return d.found.Load()
		},
		activate:      func([]*v1.Pod) { d.activated.Add(1) },
		recheckDelays: delays,
	}
	d.found.Store(&v1.Pod{})
	return d
}

func (d *gateFixture) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.groups)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

var group = fwk.PodGroupKey("ml", "train")

// The scheduler counts a pod later than the informer shows it. The group is admitted
// although no event follows.
func TestGroupIsAdmittedWhenTheSchedulerHasCounted(t *testing.T) {
	d := newGateFixture(time.Millisecond, time.Millisecond)
	for range 3 { // the gate keeps out every waiting member
		d.add(group, &v1.Pod{})
	}
	eventually(t, "it was checked more often than there are pauses", func() bool { return d.checked.Load() > 3 })
	if d.activated.Load() > 0 {
		t.Fatal("a group without its quorum was admitted")
	}
	d.full.Store(true)
	eventually(t, "it is admitted", func() bool { return d.activated.Load() == 1 && d.waiting() == 0 })
	checked := d.checked.Load()
	time.Sleep(20 * time.Millisecond)
	if d.activated.Load() != 1 || d.checked.Load() != checked {
		t.Errorf("after it was admitted, it was checked %d times more, and admitted %d times", d.checked.Load()-checked, d.activated.Load()-1)
	}
}

// A new pod triggers a check of its group at once.
func TestNewPodHasItsGroupChecked(t *testing.T) {
	d := newGateFixture(time.Millisecond, time.Hour)
	d.add(group, &v1.Pod{})
	eventually(t, "the first check is over", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.groups[group].check == 1
	})
	d.full.Store(true)
	d.recheck(fwk.PodGroupKey("ml", "other"))
	d.recheck(group)
	eventually(t, "it is admitted", func() bool { return d.activated.Load() == 1 && d.waiting() == 0 })
}

// The gate forgets groups that are deleted while they wait.
func TestGroupThatLeftIsForgotten(t *testing.T) {
	d := newGateFixture(time.Millisecond, time.Millisecond)
	d.add(group, &v1.Pod{})
	eventually(t, "it was checked", func() bool { return d.checked.Load() > 3 })
	d.gone.Store(true)
	eventually(t, "it is forgotten", func() bool { return d.waiting() == 0 })
	if d.activated.Load() > 0 {
		t.Error("it was admitted")
	}
}

// The pod that represents a group may be deleted, and its PodGroup too, while other pods of
// the hierarchy wait. Another waiting pod then represents the group.
func TestGroupIsKnownByAPodThatWaits(t *testing.T) {
	d := newGateFixture(time.Millisecond, time.Millisecond)
	d.add(group, &v1.Pod{})
	other := &v1.Pod{}
	d.found.Store(other)
	eventually(t, "the other pod is checked", func() bool { return d.last.Load() == other })
	if d.waiting() != 1 {
		t.Error("the group was forgotten")
	}
}

// A pod kept out while anyWaiting finds no pod keeps its group known.
func TestPodThatComesWhileItsGroupIsForgotten(t *testing.T) {
	d := newGateFixture(time.Millisecond, time.Millisecond)
	var late atomic.Bool
	found := d.anyWaiting
	d.anyWaiting = func(key fwk.EntityKey) *v1.Pod {
		if late.CompareAndSwap(true, false) {
			d.add(group, &v1.Pod{})
			return nil
		}
		return found(key)
	}
	d.add(group, &v1.Pod{})
	late.Store(true)
	eventually(t, "it comes", func() bool { return !late.Load() })
	d.full.Store(true)
	eventually(t, "it is admitted", func() bool { return d.activated.Load() == 1 })
}

// whole is a quorum that every group has.
type whole struct{ quorum }

func (whole) PreEnqueue(context.Context, *v1.Pod) *fwk.Status { return nil }

// A group with its quorum that must wait after a slow plan is admitted after the pause.
func TestGroupWaitsAfterASlowPlan(t *testing.T) {
	var rested, activated atomic.Bool
	gate := newGate(whole{}, groupReader{}, func(*v1.Pod) bool { return rested.Load() }, func([]*v1.Pod) { activated.Store(true) })
	name := "train"
	pod := &v1.Pod{Spec: v1.PodSpec{SchedulingGroup: &v1.PodSchedulingGroup{PodGroupName: &name}}}
	if gate.PreEnqueue(t.Context(), pod).IsSuccess() || gate.Gated() != 1 {
		t.Error("the group is admitted in the pause")
	}
	rested.Store(true)
	eventually(t, "it is admitted", func() bool { return activated.Load() && gate.Gated() == 0 })
	if !gate.PreEnqueue(t.Context(), pod).IsSuccess() {
		t.Error("the group is not admitted after the pause")
	}
}
